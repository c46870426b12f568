import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type { AppError } from '@pvtrail/primitives';
import { asStoreError } from './clickhouse-errors.js';
import type { Database } from './database.js';
import type { ServerLocation } from './server-location.js';
import { text } from './sql-text.js';
import { deleteStatement, insertStatement, jsonLines, QUERY_SETTINGS } from './statements.js';
import { DEDUPLICATION_WINDOW, definitionsFor, deletableTable, type TableEngines } from './table-engines.js';

const REQUEST_TIMEOUT_MS = 120_000;
/** About 15 s in all: longer than a server needs to start again. */
const RETRY = { attempts: 10, firstDelayMs: 100, maxDelayMs: 3000 };
const UNKNOWN_DATABASE = '81';

/** Of every statement: errors come before the answer, and what a shard can do it does with its own tables. */
const SETTINGS = { ...QUERY_SETTINGS, wait_end_of_query: 1 as const };
const DISTRIBUTED_SETTINGS = { distributed_product_mode: 'local', distributed_foreground_insert: 1 } as const;

const clientFor = ({ url, database, username, password, tls, requestTimeoutMs, engines }: ServerLocation) =>
  createClient({
    url,
    ...(database === undefined ? {} : { database }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    application: 'pvtrail',
    request_timeout: requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    clickhouse_settings: { ...SETTINGS, ...(engines?.kind === 'distributed' ? DISTRIBUTED_SETTINGS : {}) },
    // What goes wrong is thrown; the client's own lines would have whole statements in them.
    log: { level: ClickHouseLogLevel.OFF },
  });

/**
 * A ClickHouse server over HTTP. A statement that the server did not answer, or refused for now, is tried again a few times:
 * all of them may be repeated.
 */
export class ServerDatabase implements Database {
  readonly #client: ClickHouseClient;
  readonly #engines: TableEngines;
  readonly #window: number;
  readonly #retry: NonNullable<ServerLocation['retry']>;

  private constructor(location: ServerLocation) {
    this.#client = clientFor(location);
    this.#engines = location.engines ?? { kind: 'merge-tree' };
    this.#window = location.deduplicationWindow ?? DEDUPLICATION_WINDOW;
    this.#retry = location.retry ?? RETRY;
  }

  /** Makes the database when it is missing. @throws AppError `store/unavailable`, also for refused credentials */
  static async open(location: ServerLocation): Promise<ServerDatabase> {
    const database = new ServerDatabase(location);
    try {
      await database.query('SELECT 1');
    } catch (error) {
      const missing = asStoreError(error).details.clickhouse === UNKNOWN_DATABASE;
      if (!missing) await database.close();
      if (!missing || location.database === undefined) throw error;
      await createDatabase(location, location.database);
    }
    return database;
  }

  async insert(table: string, rows: readonly object[], token: string): Promise<void> {
    if (rows.length === 0) return;
    const lines = jsonLines(rows);
    await this.#run((client) => execute(client, insertStatement(table, token), lines));
  }

  async query(sql: string): Promise<Readonly<Record<string, unknown>>[]> {
    return this.#run(async (client) => {
      const result = await client.query({ query: sql, format: 'JSONEachRow' });
      return result.json<Record<string, unknown>>();
    });
  }

  async define(statement: string): Promise<void> {
    for (const definition of definitionsFor(statement, this.#engines, this.#window)) await this.#command(definition);
  }

  async deleteRows(table: string, condition: string): Promise<void> {
    await this.#command(deleteStatement(deletableTable(table, this.#engines), condition));
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #command(query: string): Promise<void> {
    await this.#run((client) => client.command({ query }));
  }

  async #run<T>(action: (client: ClickHouseClient) => Promise<T>): Promise<T> {
    const { attempts, firstDelayMs, maxDelayMs } = this.#retry;
    for (let attempt = 1; ; attempt++) {
      try {
        return await action(this.#client);
      } catch (cause) {
        const error = asStoreError(cause);
        if (attempt >= attempts || !isTransient(error)) throw error;
        await delay(Math.min(maxDelayMs, firstDelayMs * 2 ** (attempt - 1)));
      }
    }
  }
}

const isTransient = ({ code, details }: AppError): boolean =>
  code === 'store/unavailable' && details.transient === true;

const execute = async (client: ClickHouseClient, query: string, lines: string): Promise<void> => {
  const { stream } = await client.exec({ query, values: Readable.from([lines], { objectMode: false }) });
  for await (const _ of stream) {
    // The statement is finished when its response has been read.
  }
};

const createDatabase = async (location: ServerLocation, name: string): Promise<void> => {
  const { engines } = location;
  const onCluster =
    engines === undefined || engines.kind === 'merge-tree' ? '' : ` ON CLUSTER ${text(engines.cluster)}`;
  const client = clientFor({ ...location, database: 'default' });
  try {
    await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${identifier(name)}${onCluster}` });
  } catch (error) {
    throw asStoreError(error);
  } finally {
    await client.close();
  }
};

const identifier = (name: string): string => `\`${name.replace(/[\\`]/g, '\\$&')}\``;
