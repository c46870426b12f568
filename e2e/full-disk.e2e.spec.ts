import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { openDatabase } from '@pvtrail/column-store';
import { afterAll, describe, expect, it } from 'vitest';

const PVTRAIL = path.join(import.meta.dirname, '../apps/cli/bin/pvtrail.js');
const COMMAND = ['run', '--stage', 'v2.6.29', '--workload', 'fork', '--iterations', '2', '--keep-trace', '--json'];
const TABLES = [
  'chunks',
  'unit_totals',
  'function_statistics',
  'site_statistics',
  'op_statistics',
  'cause_statistics',
  'units',
  'guests',
];
const KIB = 1024;

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-full-'));
const disk = path.join(root, 'disk');
fs.mkdirSync(disk);

const mounted = ((): boolean => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', disk], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

afterAll(() => {
  if (mounted) execFileSync('umount', [disk]);
  fs.rmSync(root, { recursive: true });
});

/** Fills the disk, all but some bytes. */
const leave = (freeBytes: number): void => {
  const filler = path.join(disk, 'filler');
  fs.rmSync(filler, { force: true });
  const { bavail, bsize } = fs.statfsSync(disk);
  fs.writeFileSync(filler, new Uint8Array(bavail * bsize - freeBytes));
};

const pvtrail = (folder: string, command = COMMAND) =>
  spawnSync(process.execPath, [PVTRAIL, '--data', folder, ...command], { encoding: 'utf8', timeout: 100_000 });

const filesBelow = (folder: string): string[] =>
  fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];

/** Every row of every table but those with times of day. */
const rowsIn = async (folder: string): Promise<Record<string, unknown[]>> => {
  const database = await openDatabase({ path: path.join(folder, 'store') });
  const rows: Record<string, unknown[]> = {};
  for (const table of TABLES) rows[table] = await database.query(`SELECT * FROM ${table} ORDER BY ALL`);
  await database.close();
  return rows;
};

describe('a full disk', () => {
  it('ends a run with a code, wherever it strikes; with room again the same command makes what it would have made', async (context) => {
    context.skip(!mounted, 'skipped, because a small file system cannot be mounted here');
    const folder = path.join(disk, 'data');
    const struck: string[] = [];
    for (const freeKib of [16, 96, 1000, 1700, 2400, 3100]) {
      leave(freeKib * KIB);
      const { status, signal, stderr } = pvtrail(folder);
      if (status === 0) break;
      expect([freeKib, status, signal]).toEqual([freeKib, 1, null]);
      const [, code] = /^pvtrail: ((?:log|store)\/disk-full): .*free.* space.*\n$/m.exec(stderr) ?? [];
      expect([freeKib, code, stderr]).toEqual([freeKib, expect.any(String), stderr]);
      struck.push(`${code}`);
      expect(filesBelow(path.join(folder, 'traces')).filter((name) => name.endsWith('.part'))).toEqual([]);
    }
    expect(new Set(struck)).toEqual(new Set(['log/disk-full', 'store/disk-full']));
    fs.rmSync(path.join(disk, 'filler'));
    const resumed = pvtrail(folder);
    expect([resumed.status, resumed.stderr]).toEqual([0, expect.not.stringContaining('disk-full')]);

    const undisturbed = path.join(root, 'undisturbed');
    const whole = pvtrail(undisturbed);
    expect(whole.status).toBe(0);
    expect(JSON.parse(resumed.stdout)).toEqual({
      ...JSON.parse(whole.stdout),
      resumedGuests: expect.toSatisfy((guests) => guests <= 1),
    });
    expect(filesBelow(path.join(folder, 'traces')).toSorted()).toEqual(
      filesBelow(path.join(undisturbed, 'traces')).toSorted(),
    );
    expect(await rowsIn(folder)).toEqual(await rowsIn(undisturbed));
  }, 600_000);

  it('ends a fleet too, without beginning the guests that have not begun', (context) => {
    context.skip(!mounted, 'skipped, because a small file system cannot be mounted here');
    leave(2600 * KIB);
    const { status, signal, stderr } = pvtrail(path.join(disk, 'fleet'), ['start']);
    expect([status, signal]).toEqual([1, null]);
    expect(stderr).toMatch(/^pvtrail: (?:log|store)\/disk-full: /m);
  }, 150_000);
});
