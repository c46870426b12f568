import fs from 'node:fs';
import path from 'node:path';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { AppError } from '@pvtrail/primitives';
import { ClickHouseDatabase } from './clickhouse-database.js';
import { asStoreError } from './clickhouse-errors.js';
import type { Database } from './database.js';

/** A server by its URL, or the embedded engine in a folder. */
export type StoreLocation =
  | { readonly url: string; readonly username?: string; readonly password?: string; readonly database?: string }
  | { readonly path: string };

const READERS = 2;
/** The embedded engine needs at least this to start; below it, failing to open means a full disk. */
const LEAST_FREE_BYTES = 1 << 20;

/** The same for every statement of every connection, so that it does not matter that an embedded one keeps them. */
const SETTINGS = { output_format_json_quote_64bit_integers: 1, output_format_json_quote_denormals: 0 } as const;

/** chdb's connection is typed against another release of the same interface; the client accepts it (chdb's documentation). */
type InjectedConnection = NonNullable<Parameters<typeof createClient>[0]>['connection'];

const prepareFolder = (folder: string): void => {
  try {
    fs.mkdirSync(folder, { recursive: true });
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

const openEmbedded = async (folder: string): Promise<ClickHouseDatabase> => {
  prepareFolder(folder);
  // Loaded only when used: the engine is a library of several hundred megabytes.
  const { createChdbConnection } = await import('chdb/connection');
  const clients: ClickHouseClient[] = [];
  try {
    for (let index = 0; index <= READERS; index++) {
      const connection = createChdbConnection({ path: path.resolve(folder) }) as unknown as InjectedConnection;
      clients.push(createClient({ connection, clickhouse_settings: SETTINGS, log: { level: ClickHouseLogLevel.OFF } }));
    }
  } catch (error) {
    await Promise.all(clients.map((client) => client.close()));
    throw openFailure(folder, error);
  }
  const [writer, ...readers] = clients;
  if (writer === undefined) throw new RangeError('no connection');
  return new ClickHouseDatabase(writer, readers);
};

const openServer = (location: Extract<StoreLocation, { url: string }>): ClickHouseDatabase => {
  const client = () =>
    createClient({ ...location, clickhouse_settings: SETTINGS, log: { level: ClickHouseLogLevel.OFF } });
  return new ClickHouseDatabase(client(), Array.from({ length: READERS }, client));
};

/**
 * Opens a ClickHouse. The embedded engine must be used from the main thread of its process, by one process at a time, and be
 * closed before the process exits by itself.
 * @throws AppError `store/locked`, `store/unavailable`, `store/disk-full`
 */
export const openDatabase = async (location: StoreLocation): Promise<Database> =>
  'url' in location ? openServer(location) : openEmbedded(location.path);
