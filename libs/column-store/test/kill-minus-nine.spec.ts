import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const child = (script: string, ...args: string[]) =>
  spawnSync(process.execPath, [path.join(import.meta.dirname, 'children', script), ...args], { encoding: 'utf8' });

/** When and at which insert each process dies; what a process stored before stays, so each comes further than the one before. */
const DEATHS = [
  ['before', 'units'],
  ['during', 'units'],
  ['during', 'units'],
  ['after', 'units'],
  ['during', 'units'],
  ['during', 'guests'],
  ['after', 'guests'],
] as const;

describe('kill -9 of the process that inserts', () => {
  let folder: string;
  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-kill-'));
  });
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  const tablesOf = (store: string): string => {
    const output = path.join(folder, `${store}.txt`);
    const { status, stderr } = child('print-tables.mjs', path.join(folder, store), output);
    expect([status, stderr]).toEqual([0, '']);
    return fs.readFileSync(output, 'utf8');
  };

  it('at every kind of insert, before, during and after it: the tables equal those of an undisturbed run', () => {
    const undisturbed = child('insert-and-die.mjs', path.join(folder, 'undisturbed'), 'never', '');
    expect([undisturbed.status, undisturbed.stderr]).toEqual([0, '']);

    const disturbed = path.join(folder, 'disturbed');
    for (const [when, table] of DEATHS) {
      const { signal, stderr } = child('insert-and-die.mjs', disturbed, when, table);
      expect([when, table, signal, stderr]).toEqual([when, table, 'SIGKILL', '']);
    }
    const { status } = child('insert-and-die.mjs', disturbed, 'never', '');
    expect(status).toBe(0);

    const expected = tablesOf('undisturbed');
    expect(tablesOf('disturbed')).toBe(expected);
    expect(expected.split('\n').filter((line) => line.startsWith('units ')).length).toBe(12);
  });
});
