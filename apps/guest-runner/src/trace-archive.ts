import fs from 'node:fs/promises';
import path from 'node:path';
import type { ChunkProduced } from '@pvtrail/contracts';

const SEQUENCE_DIGITS = 6;

/** Keeps trace chunks as files: `<folder>/<guest id>/<sequence>.pvtrace`, each whole or not there at all. */
export class TraceArchive {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async keep({ guestId, sequence }: ChunkProduced, value: Uint8Array): Promise<void> {
    const folder = path.join(this.#folder, guestId);
    const file = path.join(folder, `${String(sequence).padStart(SEQUENCE_DIGITS, '0')}.pvtrace`);
    await fs.mkdir(folder, { recursive: true });
    await fs.writeFile(`${file}.part`, value);
    await fs.rename(`${file}.part`, file);
  }
}
