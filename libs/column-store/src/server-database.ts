import { Readable } from 'node:stream';
import type { ClickHouseClient } from '@clickhouse/client';
import { asStoreError } from './clickhouse-errors.js';
import type { Database } from './database.js';
import { text } from './sql-text.js';

/**
 * An insert of more rows could be cut into several blocks, of which a crash may keep some
 * (max_insert_block_size is 1,048,449 rows by default).
 */
const MAX_ROWS = 500_000;

/** One statement at a time, because an embedded connection runs no two at once. */
class Lane {
  readonly #client: ClickHouseClient;
  #last: Promise<unknown> = Promise.resolve();
  waiting = 0;

  constructor(client: ClickHouseClient) {
    this.#client = client;
  }

  async run<T>(action: (client: ClickHouseClient) => Promise<T>): Promise<T> {
    this.waiting++;
    const result = this.#last.then(() => action(this.#client));
    this.#last = result.catch(() => {});
    try {
      return await result;
    } catch (error) {
      throw asStoreError(error);
    } finally {
      this.waiting--;
    }
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#client.close();
  }
}

const jsonLines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/**
 * A ClickHouse through `@clickhouse/client`: one lane for statements that write, others for queries, so that a long query
 * does not hold up an insert. All statements are free of bound parameters: embedded, those run one at a time in the process.
 */
export class ClickHouseDatabase implements Database {
  readonly #writer: Lane;
  readonly #readers: readonly Lane[];

  constructor(writer: ClickHouseClient, readers: readonly ClickHouseClient[]) {
    this.#writer = new Lane(writer);
    this.#readers = readers.map((client) => new Lane(client));
  }

  async insert(table: string, rows: readonly object[], token: string): Promise<void> {
    if (rows.length === 0) return;
    if (rows.length > MAX_ROWS) throw new RangeError(`${rows.length} rows for ${table}, more than one block`);
    // Settings stand in the statement: as client settings they would stay on an embedded connection.
    const query = `INSERT INTO ${table} SETTINGS async_insert = 0, insert_deduplicate = 1, date_time_input_format = 'best_effort', insert_deduplication_token = ${text(token)} FORMAT JSONEachRow`;
    await this.#writer.run(async (client) => {
      const { stream } = await client.exec({ query, values: Readable.from([jsonLines(rows)]) });
      for await (const _ of stream) {
        // The statement is finished when its response has been read.
      }
    });
  }

  async query(sql: string): Promise<Readonly<Record<string, unknown>>[]> {
    const lane = this.#readers.reduce((best, next) => (next.waiting < best.waiting ? next : best));
    return lane.run(async (client) => {
      const result = await client.query({ query: sql, format: 'JSONEachRow' });
      return result.json<Record<string, unknown>>();
    });
  }

  async command(sql: string): Promise<void> {
    await this.#writer.run((client) => client.command({ query: sql }));
  }

  async close(): Promise<void> {
    await Promise.all([this.#writer, ...this.#readers].map((lane) => lane.close()));
  }
}
