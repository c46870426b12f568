import fs from 'node:fs/promises';
import path from 'node:path';
import type { ChunkProduced } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';

const SEQUENCE_DIGITS = 6;

/** Keeps trace chunks as files: `<folder>/<guest id>/<sequence>.pvtrace`, each whole or not there at all. */
export class TraceArchive {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws AppError `log/disk-full`, `log/unavailable` */
  async keep({ guestId, sequence }: ChunkProduced, value: Uint8Array): Promise<void> {
    const folder = path.join(this.#folder, guestId);
    const file = path.join(folder, `${String(sequence).padStart(SEQUENCE_DIGITS, '0')}.pvtrace`);
    try {
      await fs.mkdir(folder, { recursive: true });
      await writeWhole(file, value);
    } catch (error) {
      throw asLogError(file, error);
    }
  }
}

const writeWhole = async (file: string, value: Uint8Array): Promise<void> => {
  const part = `${file}.part`;
  try {
    await fs.writeFile(part, value);
    await fs.rename(part, file);
  } catch (error) {
    await fs.rm(part, { force: true });
    throw error;
  }
};

const asLogError = (file: string, error: unknown): unknown => {
  if (!(error instanceof Error) || !('syscall' in error)) return error;
  const full = 'code' in error && error.code === 'ENOSPC';
  const hint = full ? 'no room for the trace; free space and run the same command again' : error.message;
  return new AppError(full ? 'log/disk-full' : 'log/unavailable', `${file}: ${hint}`, {}, error);
};
