import fs from 'node:fs';
import path from 'node:path';
import { AppError } from '@pvtrail/primitives';
import { makeFolder } from '@pvtrail/primitives/node';
import type { Session } from 'chdb';
import { asStoreError } from './clickhouse-errors.js';

/** The engine needs at least this to start; below it, failing to open means a full disk. */
const LEAST_FREE_BYTES = 1 << 20;

const prepareFolder = (folder: string): void => {
  try {
    makeFolder(folder);
    fs.accessSync(folder, fs.constants.W_OK);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') throw asStoreError(error);
    throw new AppError('store/unavailable', `the store's folder ${folder} cannot be written`, {}, error);
  }
};

const openFailure = (folder: string, error: unknown): AppError => {
  const { bavail, bsize } = fs.statfsSync(folder);
  if (bavail * bsize < LEAST_FREE_BYTES) {
    return new AppError('store/disk-full', `${folder}: no space to open the store; free some and try again`, {}, error);
  }
  const hint = 'another process has this store open, or this process has another; end it, or use another data folder';
  return new AppError('store/locked', `${folder}: ${hint}`, {}, error);
};

/**
 * ClickHouse within this process, over one folder. Use it from the main thread, one folder at a time, and close it before the
 * process exits: leaving while a statement runs crashes it.
 */
export class ChdbEngine {
  readonly #connect: () => Session;
  /** Holds the folder while nothing else is connected. */
  readonly #anchor: Session;

  private constructor(connect: () => Session) {
    this.#connect = connect;
    this.#anchor = connect();
  }

  /** @throws AppError `store/locked`, `store/unavailable`, `store/disk-full` */
  static async open(folder: string): Promise<ChdbEngine> {
    prepareFolder(folder);
    // Loaded only when used: a library of several hundred megabytes.
    const { Session } = await import('chdb');
    try {
      return new ChdbEngine(() => new Session(path.resolve(folder)));
    } catch (error) {
      throw openFailure(folder, error);
    }
  }

  /** A connection: one statement at a time, with settings, parameters and a current database of its own. Takes 0.3 ms. */
  connect(): Session {
    return this.#connect();
  }

  /** Call it when no statement is running any more. */
  close(): void {
    this.#anchor.close();
  }
}
