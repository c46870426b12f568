import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UNIT_TABLES } from '../src/rows.js';

const child = (script: string, ...args: string[]) =>
  spawnSync(process.execPath, [path.join(import.meta.dirname, 'children', script), ...args], { encoding: 'utf8' });

/** In the order of the inserts of a unit. */
const TABLES = [...UNIT_TABLES, 'units'];

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

  // Before an insert is after the one before it: nothing is done between two.
  it('at every insert of a unit, before, during and after it: the tables equal those of an undisturbed run', () => {
    const undisturbed = child('insert-and-die.mjs', path.join(folder, 'undisturbed'), 'never', '');
    expect([undisturbed.status, undisturbed.stderr]).toEqual([0, '']);

    const disturbed = path.join(folder, 'disturbed');
    const deaths = TABLES.flatMap((table) => ['during', 'after'].map((when) => [when, table] as const));
    for (const [when, table] of [['before', 'chunks'] as const, ...deaths]) {
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
