/**
 * What the store needs of a ClickHouse, wherever it runs. Every statement may be repeated: inserts have tokens, definitions say
 * IF NOT EXISTS. Errors: `store/unavailable`, `store/disk-full`, `store/query-failed`.
 */
export interface Database {
  /**
   * Inserts rows as one block, all or none, synchronously; a token seen before (within the table's window) inserts nothing.
   * Every insert has a token.
   */
  insert(table: string, rows: readonly object[], token: string): Promise<void>;
  /** Rows of a SELECT; 64-bit numbers come as text. */
  query(sql: string): Promise<Readonly<Record<string, unknown>>[]>;
  /** A statement of a migration, written for MergeTree tables; a server may be configured to make others of them. */
  define(statement: string): Promise<void>;
  /** Removes the rows that meet a condition, and returns when they are gone. */
  deleteRows(table: string, condition: string): Promise<void>;
  /** Waits for what is running, then closes. */
  close(): Promise<void>;
}
