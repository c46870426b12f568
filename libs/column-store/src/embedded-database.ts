import type { Session } from 'chdb';
import { ChdbEngine } from './chdb-engine.js';
import { asStoreError } from './clickhouse-errors.js';
import type { Database } from './database.js';
import { deleteStatement, insertStatement, jsonLines, QUERY_SETTINGS } from './statements.js';

/** Connections for queries. */
const READERS = 2;

/** A connection with the statements that wait for it: an embedded one runs one at a time. */
class Lane {
  readonly #session: Session;
  #last: Promise<unknown> = Promise.resolve();
  waiting = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  async run(sql: string): Promise<string> {
    this.waiting++;
    const result = this.#last.then(() => this.#session.queryAsync(sql, { format: 'JSONEachRow' }));
    this.#last = result.catch(() => {});
    try {
      return (await result).text();
    } catch (error) {
      throw asStoreError(error);
    } finally {
      this.waiting--;
    }
  }

  async close(): Promise<void> {
    await this.#last;
    this.#session.close();
  }
}

/**
 * The embedded engine: one lane for statements that write, others for queries, so that a long query does not hold up an insert.
 */
export class EmbeddedDatabase implements Database {
  readonly #engine: ChdbEngine;
  readonly #writer: Lane;
  readonly #readers: readonly Lane[];

  private constructor(engine: ChdbEngine) {
    this.#engine = engine;
    this.#writer = new Lane(engine.connect());
    this.#readers = Array.from({ length: READERS }, () => new Lane(engine.connect()));
  }

  /** @throws AppError `store/locked`, `store/unavailable`, `store/disk-full` */
  static async open(folder: string): Promise<EmbeddedDatabase> {
    const database = new EmbeddedDatabase(await ChdbEngine.open(folder));
    const settings = Object.entries(QUERY_SETTINGS).map(([name, value]) => `${name} = ${value}`);
    await Promise.all(database.#readers.map((lane) => lane.run(`SET ${settings.join(', ')}`)));
    return database;
  }

  async insert(table: string, rows: readonly object[], token: string): Promise<void> {
    if (rows.length > 0) await this.#writer.run(`${insertStatement(table, token)}\n${jsonLines(rows)}`);
  }

  async query(sql: string): Promise<Readonly<Record<string, unknown>>[]> {
    const lane = this.#readers.reduce((best, next) => (next.waiting < best.waiting ? next : best));
    const lines = (await lane.run(sql)).split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
  }

  async define(statement: string): Promise<void> {
    await this.#writer.run(statement);
  }

  async deleteRows(table: string, condition: string): Promise<void> {
    await this.#writer.run(deleteStatement(table, condition));
  }

  async close(): Promise<void> {
    await Promise.all([this.#writer, ...this.#readers].map((lane) => lane.close()));
    this.#engine.close();
  }
}
