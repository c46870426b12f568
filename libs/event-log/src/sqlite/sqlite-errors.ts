import { AppError, type ErrorCode } from '@pvtrail/primitives';

/** Primary result codes of SQLite (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_FULL = 13;

const resultCode = (error: unknown): number | undefined => {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
};

const HINTS: Record<number, readonly [ErrorCode, string]> = {
  [SQLITE_BUSY]: ['log/locked', 'another process holds the log; end it, or give this one its own data folder'],
  [SQLITE_LOCKED]: ['log/locked', 'another process holds the log; end it, or give this one its own data folder'],
  [SQLITE_FULL]: ['log/disk-full', 'the log cannot grow; free space and run the same command again'],
};

const isSystemError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'syscall' in error;

/** Runs `action`; failures of SQLite and of the file system become AppErrors of the log, others pass. `file` names the log in the message. */
export const translated = <T>(file: string, action: () => T): T => {
  try {
    return action();
  } catch (error) {
    if (isSystemError(error)) {
      const ours = error.code === 'ENOSPC' ? 'log/disk-full' : 'log/unavailable';
      throw new AppError(ours, `${file}: ${error.message}`, {}, error);
    }
    const code = resultCode(error);
    if (code === undefined) throw error;
    const [ours, hint] = HINTS[code] ?? ['log/unavailable', String((error as Error).message)];
    throw new AppError(ours, `${file}: ${hint}`, { sqlite: code }, error);
  }
};
