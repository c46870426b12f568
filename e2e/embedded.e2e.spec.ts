import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const root = path.join(import.meta.dirname, '..');
const folders: string[] = [];

const newFolder = (): string => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-e2e-'));
  folders.push(folder);
  return folder;
};

const pvtrail = (folder: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(root, 'apps/cli/bin/pvtrail.js'), '--data', folder, ...args],
    {
      encoding: 'utf8',
      timeout: 50_000,
      killSignal: 'SIGKILL',
    },
  );
  return { status, stdout, stderr };
};

const run = (folder: string, stage: string, ...more: string[]) => {
  const { status, stdout, stderr } = pvtrail(
    folder,
    'run',
    '--stage',
    stage,
    '--workload',
    'nullsyscall',
    '--json',
    ...more,
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as {
    runId: string;
    guests: { digest: string; instructions: number }[];
    resumedGuests: number;
  };
};

afterAll(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true });
});

describe('pvtrail run', () => {
  it('repeats to the byte in another process and data folder', () => {
    const [one, other] = [run(newFolder(), 'v2.6.30'), run(newFolder(), 'v2.6.30')];
    expect(one.guests[0]?.instructions).toBeGreaterThan(10_000);
    expect(other.guests).toEqual(one.guests);
    expect(other.runId).toBe(one.runId);
  });

  it('shows a finished run instead of computing it again', () => {
    const folder = newFolder();
    const first = run(folder, 'v2.6.29');
    expect(run(folder, 'v2.6.29')).toEqual({ ...first, resumedGuests: 1 });
  });

  it('computes again when forced, to the same digest', () => {
    const folder = newFolder();
    const first = run(folder, 'v2.6.29');
    expect(run(folder, 'v2.6.29', '--force')).toEqual(first);
  });

  it('names the valid stages when it does not know one', () => {
    const { status, stderr, stdout } = pvtrail(newFolder(), 'run', '--stage', 'v2.6.31');
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('input/unknown-stage');
    expect(stderr).toContain('callee-save-pte');
  });
});
