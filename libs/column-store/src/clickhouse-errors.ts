import { AppError } from '@pvtrail/primitives';

/** ClickHouse's NOT_ENOUGH_SPACE: a reservation that the disk cannot hold. */
const NOT_ENOUGH_SPACE = '243';
/** What the operating system says, within the text of other codes. */
const DISK_FULL = /No space left on device|ENOSPC/;
/** Codes of Node's sockets; the server cannot be reached. */
const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'ETIMEDOUT', 'EPIPE', 'EAI_AGAIN']);

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Any failure of the engine or the way to it as an AppError; ClickHouse's own code is in its details. */
export const asStoreError = (error: unknown): AppError => {
  if (error instanceof AppError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const details = { clickhouse: codeOf(error) };
  if (details.clickhouse === NOT_ENOUGH_SPACE || DISK_FULL.test(message)) {
    const hint = 'the store cannot grow; free space and run the same command again';
    return new AppError('store/disk-full', hint, details, error);
  }
  if (NETWORK.has(codeOf(error))) return new AppError('store/unavailable', message, details, error);
  return new AppError('store/query-failed', message, details, error);
};
