import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const PRINT_TABLES = path.join(import.meta.dirname, '../libs/column-store/test/children/print-tables.mjs');

/** Every row of every table of an embedded store, a line each, sorted; but for events, which carry the time at which they were written. */
export const tablesOf = (storeFolder: string): string => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-tables-'));
  try {
    const output = path.join(folder, 'tables.txt');
    const { status, stderr } = spawnSync(process.execPath, [PRINT_TABLES, storeFolder, output], { encoding: 'utf8' });
    if (status !== 0 || stderr !== '') throw new Error(`the tables of ${storeFolder} cannot be read: ${stderr}`);
    return fs.readFileSync(output, 'utf8').replaceAll(/^events .*\n/gm, '');
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
};

/** The first lines that only one of two sorted listings has, cut short; repeated lines count. */
export const differing = (expected: string, found: string): string[] => {
  const counts = new Map<string, number>();
  for (const line of expected.split('\n')) counts.set(line, (counts.get(line) ?? 0) + 1);
  for (const line of found.split('\n')) counts.set(line, (counts.get(line) ?? 0) - 1);
  return [...counts]
    .flatMap(([line, count]) => (count === 0 ? [] : `${count > 0 ? 'missing' : 'extra'}: ${line.slice(0, 300)}`))
    .slice(0, 5);
};
