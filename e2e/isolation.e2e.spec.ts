import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-isolation-'));
const RUN_FLEET = path.join(import.meta.dirname, 'children/run-fleet.mjs');

afterAll(() => fs.rmSync(folder, { recursive: true }));

const guest = (stage: string, more: object = {}) => ({ stage, workload: 'nullsyscall', ...more });

const runFleet = (name: string, guests: readonly object[]) => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [RUN_FLEET, path.join(folder, name), JSON.stringify({ guests })],
    { encoding: 'utf8', timeout: 110_000 },
  );
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as { state: string; guests: [stage: string, state: string, result: string][] };
};

describe('a fleet in which guests fail', () => {
  it('goes on: the other guests end as they would alone', () => {
    const healthy = [guest('nopv'), guest('v2.6.29'), guest('v2.6.30')];
    const alone = runFleet('healthy', healthy);
    expect(alone.state).toBe('completed');

    const mixed = runFleet('mixed', [
      guest('identity', { maxInstructions: 1000 }),
      ...healthy,
      guest('clobber-aware', { maxInstructions: 200_000 }),
    ]);
    expect(mixed.state).toBe('failed');
    expect(mixed.guests.filter(([, state]) => state === 'failed')).toEqual([
      ['identity', 'failed', 'guest/budget-exhausted'],
      ['clobber-aware', 'failed', 'guest/budget-exhausted'],
    ]);
    expect(mixed.guests.filter(([, state]) => state === 'finished')).toHaveLength(3);
    expect(mixed.guests.filter(([, state]) => state === 'finished').map(([stage]) => stage)).toEqual(
      alone.guests.map(([stage]) => stage),
    );
  }, 240_000);
});
