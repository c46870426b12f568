import type { Database } from './database.js';
import { EmbeddedDatabase } from './embedded-database.js';
import type { ServerLocation } from './server-location.js';

/** A server, or the embedded engine in a folder. */
export type StoreLocation = ServerLocation | { readonly path: string };

/**
 * Opens a ClickHouse. The embedded engine must be used from the main thread of its process, by one process at a time, and be
 * closed before the process exits by itself.
 * @throws AppError `store/locked`, `store/unavailable`, `store/disk-full`
 */
export const openDatabase = async (location: StoreLocation): Promise<Database> => {
  if (!('url' in location)) return EmbeddedDatabase.open(location.path);
  // Loaded only when used: the client takes a good part of the time that a short command takes.
  const { ServerDatabase } = await import('./server-database.js');
  return ServerDatabase.open(location);
};
