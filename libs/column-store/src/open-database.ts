import type { Database } from './database.js';
import { EmbeddedDatabase } from './embedded-database.js';
import { ServerDatabase } from './server-database.js';
import type { ServerLocation } from './server-location.js';

/** A server, or the embedded engine in a folder. */
export type StoreLocation = ServerLocation | { readonly path: string };

/**
 * Opens a ClickHouse. The embedded engine must be used from the main thread of its process, by one process at a time, and be
 * closed before the process exits by itself.
 * @throws AppError `store/locked`, `store/unavailable`, `store/disk-full`
 */
export const openDatabase = async (location: StoreLocation): Promise<Database> =>
  'url' in location ? ServerDatabase.open(location) : EmbeddedDatabase.open(location.path);
