/** What the store needs of a ClickHouse, wherever it runs. Errors: `store/unavailable`, `store/disk-full`, `store/query-failed`. */
export interface Database {
  /**
   * Inserts rows as one block, all or none, synchronously; a token seen before (within the table's window) inserts nothing.
   * Every insert has a token.
   */
  insert(table: string, rows: readonly object[], token: string): Promise<void>;
  /** Rows of a SELECT; 64-bit numbers come as text. */
  query(sql: string): Promise<Readonly<Record<string, unknown>>[]>;
  command(sql: string): Promise<void>;
  /** Waits for what is running, then closes. */
  close(): Promise<void>;
}
