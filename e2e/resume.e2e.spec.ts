import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differing, tablesOf } from './tables.js';

const root = path.join(import.meta.dirname, '..');
const PVTRAIL = path.join(root, 'apps/cli/bin/pvtrail.js');
/** More than three units of 16 million instructions. */
const RUN = ['run', '--stage', 'v2.6.30', '--workload', 'mix', '--iterations', '14', '--json'];
const POLL_MS = 20;

/** Insert units that are on disk, whole: parts are named all_FIRST_LAST_LEVEL after the inserts that they hold. */
const unitsOnDisk = (data: string): number => {
  const folder = path.join(data, 'store/data/default/units');
  const parts = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  return Math.max(0, ...parts.map((name) => Number(/^all_\d+_(\d+)_\d+$/.exec(name)?.[1] ?? 0)));
};

const startRun = (data: string): ChildProcess =>
  spawn(process.execPath, [PVTRAIL, '--data', data, ...RUN], { stdio: ['ignore', 'ignore', 'inherit'] });

/** Kills a run with -9 once so many units are on disk. */
const killAfter = async (data: string, units: number): Promise<NodeJS.Signals | null> => {
  const child = startRun(data);
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on('exit', (_, signal) => resolve(signal)));
  const poll = setInterval(() => {
    if (unitsOnDisk(data) >= units) child.kill('SIGKILL');
  }, POLL_MS);
  const signal = await ended;
  clearInterval(poll);
  return signal;
};

describe('kill -9 of a run', () => {
  let folder: string;
  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-resume-'));
  });
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  const complete = (data: string) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [PVTRAIL, '--data', data, ...RUN], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, stderr]);
    return { document: JSON.parse(stdout) as { runId: string; guests: unknown[] }, stderr };
  };

  it('loses nothing and counts nothing twice: the same command goes on, and all tables equal those of an undisturbed run', async () => {
    const [undisturbed, disturbed] = [path.join(folder, 'undisturbed'), path.join(folder, 'disturbed')];
    const expected = complete(undisturbed);

    expect(await killAfter(disturbed, 1)).toBe('SIGKILL');
    expect(await killAfter(disturbed, 2)).toBe('SIGKILL');
    const resumed = complete(disturbed);

    expect(resumed.document).toEqual(expected.document);
    expect(resumed.stderr).toMatch(/going on with an interrupted run: 0 of 1 guests are stored, and [1-9]\d* units/);
    expect(differing(tablesOf(path.join(undisturbed, 'store')), tablesOf(path.join(disturbed, 'store')))).toEqual([]);
  }, 600_000);
});
