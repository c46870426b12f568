import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'vitest';

const PVTRAIL = path.join(import.meta.dirname, '../apps/cli/bin/pvtrail.js');

/** One command over a data folder, as a process of its own. */
export const pvtrailIn = (folder: string, ...args: string[]) =>
  spawnSync(process.execPath, [PVTRAIL, '--data', folder, ...args], { encoding: 'utf8', timeout: 100_000 });

/** The document that a command prints with --json, and nothing else. */
export const documentIn = (folder: string, ...args: string[]) => {
  const { status, stdout, stderr } = pvtrailIn(folder, ...args, '--json');
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
};
