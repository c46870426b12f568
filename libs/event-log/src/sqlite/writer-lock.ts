import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { makeFolder } from '@pvtrail/primitives/node';
import { translated } from './sqlite-errors.js';

/**
 * Holds the right to write a log until released: an exclusive transaction on a small file beside it.
 * The operating system drops the lock with the process, also after kill -9, so that no stale lock can exist.
 * @throws AppError `log/locked` when another process, or another part of this one, writes the log, `log/unavailable` when its folder cannot be made
 */
export const lockWriter = (file: string): (() => void) => {
  return translated(file, () => {
    makeFolder(path.dirname(file));
    const lock = new DatabaseSync(`${file}.lock`, { timeout: 0 });
    try {
      lock.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      lock.close();
      throw error;
    }
    return () => lock.close();
  });
};
