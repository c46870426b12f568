import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { openSqliteLog } from '@pvtrail/event-log';
import { afterAll, describe, expect, it } from 'vitest';
import { pvtrailIn } from './command-line.js';

const PVTRAIL = path.join(import.meta.dirname, '../apps/cli/bin/pvtrail.js');
const POLL_MS = 20;
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-data-'));

const refused = (folder: string): string => {
  const { status, stdout, stderr } = pvtrailIn(folder, 'compare', '--json');
  expect([status, stdout]).toEqual([1, '']);
  return stderr;
};

afterAll(() => fs.rmSync(root, { recursive: true }));

describe('a data folder', () => {
  it('of another process is refused, saying what to do', async () => {
    const folder = path.join(root, 'held');
    const log = openSqliteLog({ file: path.join(folder, 'events.sqlite') });
    expect(refused(folder)).toMatch(/^pvtrail: log\/locked: .* end it, or give this one its own data folder\n$/);
    await log.close();
  });

  it('whose log is none is refused and left as it is', () => {
    const folder = path.join(root, 'damaged');
    const file = path.join(folder, 'events.sqlite');
    fs.mkdirSync(folder);
    fs.writeFileSync(file, 'no database at all, but long enough to be read as the header of one');
    const before = fs.readFileSync(file);
    expect(refused(folder)).toMatch(/^pvtrail: log\/unavailable: .*not a database\n$/);
    expect(fs.readFileSync(file)).toEqual(before);
  });

  it('that is a file is refused', () => {
    const file = path.join(root, 'file');
    fs.writeFileSync(file, '');
    expect(refused(file)).toMatch(/^pvtrail: log\/unavailable: .*EEXIST/);
  });

  it.runIf(process.platform === 'linux')('that cannot be made is refused at once', () => {
    expect(refused('/proc/nowhere')).toMatch(/^pvtrail: log\/unavailable: .*ENOENT.*mkdir '\/proc\/nowhere'\n$/);
  });

  it('of an interrupted run is gone on with by the same command', async () => {
    const folder = path.join(root, 'interrupted');
    const args = ['run', '--workload', 'mix', '--iterations', '10', '--keep-trace', '--json'];
    const child = spawn(process.execPath, [PVTRAIL, '--data', folder, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    const poll = setInterval(() => {
      if (fs.existsSync(path.join(folder, 'traces'))) child.kill('SIGINT');
    }, POLL_MS);
    const [, signal] = await once(child, 'close');
    clearInterval(poll);
    expect([signal, said]).toEqual([
      'SIGINT',
      expect.stringMatching(/^pvtrail: interrupted; the same command goes on/),
    ]);
    const { status, stdout } = pvtrailIn(folder, ...args);
    expect(status).toBe(0);
    expect(JSON.parse(stdout).guests).toMatchObject([
      { workload: 'mix', digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ]);
  });
});
