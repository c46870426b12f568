import { text } from './sql-text.js';

/**
 * An insert of more rows could be cut into several blocks, of which a crash may keep some
 * (max_insert_block_size is 1,048,449 rows by default).
 */
const MAX_ROWS = 500_000;

/** Settings of every query: 64-bit numbers as text, none of them lossy. */
export const QUERY_SETTINGS = {
  output_format_json_quote_64bit_integers: 1,
  output_format_json_quote_denormals: 0,
} as const;

/** Of every insert: the statement returns when the rows are there. */
const INSERT_SETTINGS = "async_insert = 0, insert_deduplicate = 1, date_time_input_format = 'best_effort'";

/** An insert of lines of JSON that follow; settings stand in the statement, so that they cannot stay on a connection. */
export const insertStatement = (table: string, token: string): string =>
  `INSERT INTO ${table} SETTINGS ${INSERT_SETTINGS}, insert_deduplication_token = ${text(token)} FORMAT JSONEachRow`;

/** @throws RangeError for more rows than one block holds */
export const jsonLines = (rows: readonly object[]): string => {
  if (rows.length > MAX_ROWS) throw new RangeError(`${rows.length} rows, more than one block`);
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
};

/** Returns when the rows are gone, on every replica. */
export const deleteStatement = (table: string, condition: string): string =>
  `ALTER TABLE ${table} DELETE WHERE ${condition} SETTINGS mutations_sync = 2`;
