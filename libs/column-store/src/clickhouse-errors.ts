import { AppError } from '@pvtrail/primitives';

/** ClickHouse's NOT_ENOUGH_SPACE: a reservation that the disk cannot hold. */
const NOT_ENOUGH_SPACE = '243';
/** What the operating system says, within the text of other codes. */
const DISK_FULL = /No space left on device|ENOSPC/;
/** Codes of Node's sockets and TLS; the server cannot be reached now. */
const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'ETIMEDOUT', 'EPIPE', 'EAI_AGAIN', 'EHOSTUNREACH']);
/** The client's own words when an answer is late; this error has no code. */
const LATE = /^Timeout error\.$/;
/**
 * What passes: too many queries (202), timeouts and lost connections (209, 210, 279), no disk or replica to write to for now
 * (242, 252, 285, 286, 319), Keeper (999).
 */
const TRANSIENT = new Set(['202', '209', '210', '242', '252', '279', '285', '286', '319', '999']);
/** Unknown user, wrong password, required password, failed authentication, access denied. */
const REFUSED = new Set(['192', '193', '194', '516', '497']);
/** TLS: the other side is not who it should be. */
const CERTIFICATE = /CERT|SIGNED|ISSUER|^ERR_TLS|^ERR_SSL|^EPROTO$/;

/** ClickHouse's code, or Node's; '' when there is neither. */
const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return '';
  if ('clickhouseCode' in error && typeof error.clickhouseCode === 'number') return String(error.clickhouseCode);
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
};

/**
 * Any failure of the engine or the way to it as an AppError. Details: `clickhouse`, the code of ClickHouse or the socket, and
 * `transient`, whether the same statement may succeed soon.
 */
export const asStoreError = (error: unknown): AppError => {
  if (error instanceof AppError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  if (code === NOT_ENOUGH_SPACE || DISK_FULL.test(message)) {
    const hint = 'the store cannot grow; free space and run the same command again';
    return new AppError('store/disk-full', hint, { clickhouse: code, transient: false }, error);
  }
  const transient = NETWORK.has(code) || TRANSIENT.has(code) || LATE.test(message);
  const unavailable = transient || REFUSED.has(code) || CERTIFICATE.test(code);
  const details = { clickhouse: code, transient };
  return new AppError(unavailable ? 'store/unavailable' : 'store/query-failed', message || code, details, error);
};
