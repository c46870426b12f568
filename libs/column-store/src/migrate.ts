import fs from 'node:fs';
import { AppError, type Digest, digestOf } from '@pvtrail/primitives';
import type { Database } from './database.js';

/** A numbered file of statements that may each be run again after a crash. */
export type Migration = {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly checksum: Digest;
};

const FOLDER = new URL('../migrations/', import.meta.url);

/** The migrations of this version, by number. @throws RangeError when the numbers have gaps */
export const loadMigrations = (folder: URL = FOLDER): Migration[] => {
  const migrations = fs
    .readdirSync(folder)
    .filter((name) => /^\d{4}-[\w-]+\.sql$/.test(name))
    .sort()
    .map((name) => {
      const sql = fs.readFileSync(new URL(name, folder), 'utf8');
      return { number: Number(name.slice(0, 4)), name, sql, checksum: digestOf(sql) };
    });
  for (const [index, { number, name }] of migrations.entries()) {
    if (number !== index + 1) throw new RangeError(`migration ${name} should have number ${index + 1}`);
  }
  return migrations;
};

/** Statements end with a semicolon at the end of a line. */
export const statementsOf = (sql: string): string[] =>
  sql
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');

export const HISTORY = `CREATE TABLE IF NOT EXISTS schema_migrations (
  number   UInt32 COMMENT 'from 1',
  name     String COMMENT 'file name',
  checksum String COMMENT 'SHA-256 of the file'
) ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 10000`;

const refuseDifferences = (
  applied: readonly Readonly<Record<string, unknown>>[],
  known: readonly Migration[],
): void => {
  for (const { number, name, checksum } of applied) {
    const migration = known.find((candidate) => candidate.number === Number(number));
    if (migration === undefined) {
      throw new AppError('store/schema-mismatch', `the store has migration ${name}, which this program does not know`);
    }
    if (migration.checksum !== checksum) {
      throw new AppError(
        'store/schema-mismatch',
        `migration ${name} has changed since it was applied; with another data folder, the same commands compute everything again`,
      );
    }
  }
};

/** Brings the tables up to date. @returns the numbers applied now. @throws AppError `store/schema-mismatch` */
export const migrate = async (
  database: Database,
  migrations: readonly Migration[] = loadMigrations(),
): Promise<number[]> => {
  await database.define(HISTORY);
  const applied = await database.query('SELECT number, name, checksum FROM schema_migrations ORDER BY number');
  refuseDifferences(applied, migrations);
  const missing = migrations.filter(({ number }) => !applied.some((row) => Number(row.number) === number));
  for (const { number, name, sql, checksum } of missing) {
    for (const statement of statementsOf(sql)) await database.define(statement);
    await database.insert('schema_migrations', [{ number, name, checksum }], `migration/${number}/${checksum}`);
  }
  return missing.map(({ number }) => number);
};
