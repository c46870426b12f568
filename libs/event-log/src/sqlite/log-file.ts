import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Message } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import { makeFolder } from '@pvtrail/primitives/node';
import type { LogRecord } from '../port.js';
import { SCHEMA, SCHEMA_VERSION } from './schema.js';
import { translated } from './sqlite-errors.js';

/** Bytes; a chunk of about 100 KiB then takes a handful of pages instead of dozens. */
const PAGE_BYTES = 16_384;
/** How long a reader waits for the writer's checkpoint, and the other way round. */
const BUSY_TIMEOUT_MS = 5_000;

export type LogFileOptions = {
  readonly file: string;
  readonly access: 'write' | 'read';
  /** Upper bound of the file's size in bytes; reaching it is `log/disk-full`. */
  readonly maxBytes?: number | undefined;
};

type Row = { id: number; key: string; headers: string; value: Uint8Array };

/**
 * The SQL of the log: one file, every method one transaction.
 *
 * journal_mode=WAL lets readers of other processes in while this one writes. synchronous=NORMAL: a commit survives the death of
 * the process at any point (the pages are the kernel's by then); after a power cut the last commits may be gone, records and
 * offsets alike and never out of order, and the guests, being deterministic, make the same records again.
 */
export class LogFile {
  readonly #file: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor({ file, access, maxBytes }: LogFileOptions) {
    this.#file = file;
    this.#db = translated(file, () => {
      if (access === 'write') makeFolder(path.dirname(file));
      return new DatabaseSync(file, { readOnly: access === 'read', timeout: BUSY_TIMEOUT_MS });
    });
    try {
      translated(file, () => this.#prepareFile(access, maxBytes));
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  #prepareFile(access: 'write' | 'read', maxBytes: number | undefined): void {
    const version = () => Number(this.#db.prepare('PRAGMA user_version').get()?.user_version);
    if (access === 'write') {
      this.#db.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL`);
      if (maxBytes !== undefined) this.#db.exec(`PRAGMA max_page_count = ${Math.ceil(maxBytes / PAGE_BYTES)}`);
      if (version() === 0) this.transaction(() => this.#db.exec(SCHEMA));
    }
    if (version() !== SCHEMA_VERSION) {
      const found = version();
      throw new AppError('log/unavailable', `${this.#file} has format ${found}; this program reads ${SCHEMA_VERSION}`);
    }
  }

  /** All or nothing. */
  transaction<T>(action: () => T): T {
    return translated(this.#file, () => {
      this.#db.exec('BEGIN IMMEDIATE');
      try {
        const result = action();
        this.#db.exec('COMMIT');
        return result;
      } catch (error) {
        // SQLite itself has rolled back already after some errors, among them a full disk.
        if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /** Inside a transaction: adds one record and counts it in its stream. @returns the stream's version */
  add(topic: string, { key, value, headers }: Message): number {
    const id = this.#topicId(topic);
    this.#sql('INSERT INTO records (topic, key, headers, value) VALUES (?, ?, ?, ?)').run(
      id,
      key,
      JSON.stringify(headers),
      value,
    );
    const row = this.#sql(
      `INSERT INTO streams (topic, key, version) VALUES (?, ?, 1)
       ON CONFLICT DO UPDATE SET version = version + 1 RETURNING version`,
    ).get(id, key);
    return Number(row?.version);
  }

  versionOf(topic: string, key: string): number {
    const row = this.#sql(
      'SELECT version FROM streams JOIN topics ON topics.id = topic WHERE name = ? AND key = ?',
    ).get(topic, key);
    return Number(row?.version ?? 0);
  }

  /** Records of a topic (and key) from an offset on: up to `limit`, and none after `maxBytes` of values are reached. */
  page(topic: string, from: number, limit: number, maxBytes: number, key?: string): LogRecord[] {
    return translated(this.#file, () => {
      const byKey = key === undefined ? '' : 'AND key = :key';
      const statement = this.#sql(
        `SELECT records.id, key, headers, value FROM records JOIN topics ON topics.id = topic
         WHERE name = :topic ${byKey} AND records.id >= :from ORDER BY records.id LIMIT :limit`,
      );
      const records: LogRecord[] = [];
      let bytes = 0;
      for (const row of statement.iterate({ topic, from, limit, ...(key === undefined ? {} : { key }) })) {
        const record = toRecord(topic, row as Row);
        bytes += record.value.byteLength;
        if (records.length > 0 && bytes > maxBytes) break;
        records.push(record);
      }
      return records;
    });
  }

  /** The first offset at or after `from` in a topic, or undefined. */
  firstOffset(topic: string, from: number): number | undefined {
    return translated(this.#file, () => {
      const row = this.#sql(
        `SELECT records.id FROM records JOIN topics ON topics.id = topic
         WHERE name = ? AND records.id >= ? ORDER BY records.id LIMIT 1`,
      ).get(topic, from);
      return row === undefined ? undefined : Number(row.id);
    });
  }

  /** The offset behind the last record of a topic. */
  end(topic: string): number {
    return translated(this.#file, () => {
      const row = this.#sql(
        'SELECT max(records.id) AS last FROM records JOIN topics ON topics.id = topic WHERE name = ?',
      ).get(topic);
      return Number(row?.last ?? -1) + 1;
    });
  }

  committed(group: string, topic: string): number {
    const row = this.#sql(
      'SELECT next FROM offsets JOIN topics ON topics.id = topic WHERE consumers = ? AND name = ?',
    ).get(group, topic);
    return Number(row?.next ?? 0);
  }

  commit(group: string, topic: string, next: number): void {
    this.transaction(() =>
      this.#sql(
        'INSERT INTO offsets (consumers, topic, next) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = excluded.next',
      ).run(group, this.#topicId(topic), next),
    );
  }

  truncate(topic: string, before: number): void {
    this.transaction(() =>
      this.#sql('DELETE FROM records WHERE topic = ? AND id < ?').run(this.#topicId(topic), before),
    );
  }

  close(): void {
    this.#statements.clear();
    this.#db.close();
  }

  #topicId(name: string): number {
    const row =
      this.#sql('SELECT id FROM topics WHERE name = ?').get(name) ??
      this.#sql('INSERT INTO topics (name) VALUES (?) RETURNING id').get(name);
    return Number(row?.id);
  }

  #sql(text: string): StatementSync {
    const prepared = this.#statements.get(text) ?? this.#db.prepare(text);
    this.#statements.set(text, prepared);
    return prepared;
  }
}

const toRecord = (topic: string, { id, key, headers, value }: Row): LogRecord => ({
  topic,
  partition: 0,
  offset: id,
  key,
  headers: JSON.parse(headers) as Record<string, string>,
  value,
});
