import type { ChunkRow, ColumnStore, Unit } from '@pvtrail/column-store';
import type { ChunkProduced, GuestId } from '@pvtrail/contracts';
import type { LogRecord } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import type { AnalysisWorker } from './analysis-worker.js';

/** Chunks of an insert unit: a fixed run of sequence numbers, whatever the deliveries were (definitions §6). */
const CHUNKS_PER_UNIT = 16;

/** One guest's way from chunks to stored units. Chunks come in order; repetitions of what is stored already are passed over. */
export class GuestAnalysis {
  readonly #guestId: GuestId;
  readonly #worker: AnalysisWorker;
  readonly #store: ColumnStore;
  #nextChunk: number;
  #rows: ChunkRow[] = [];
  /** Analysed, but the store did not take it: the simulator is past it, so it is kept until it is stored. */
  #unstored: Unit | undefined;
  /** Where in the log the first chunk lies that is not stored yet. */
  #held: Pick<LogRecord, 'partition' | 'offset'> | undefined;

  constructor(guestId: GuestId, worker: AnalysisWorker, store: ColumnStore, nextChunk: number) {
    this.#guestId = guestId;
    this.#worker = worker;
    this.#store = store;
    this.#nextChunk = nextChunk;
  }

  /** Offset of the first chunk of a partition that is not stored yet. */
  heldSince(partition: number): number | undefined {
    return this.#held?.partition === partition ? this.#held.offset : undefined;
  }

  /**
   * Analyses a chunk and stores its unit when it is the unit's last. When storing fails, the chunk may come again.
   * @returns whether the guest's trace is stored completely now
   * @throws AppError `trace/discontinuous` when chunks are missing before it
   */
  async add(chunk: ChunkProduced, value: Uint8Array, place: Pick<LogRecord, 'partition' | 'offset'>): Promise<boolean> {
    if (this.#unstored !== undefined && (await this.#storeUnit(this.#unstored))) return true;
    if (chunk.sequence < this.#nextChunk) return false;
    if (chunk.sequence > this.#nextChunk) {
      throw new AppError(
        'trace/discontinuous',
        `chunk ${chunk.sequence} of guest ${this.#guestId} came when ${this.#nextChunk} was due`,
      );
    }
    this.#nextChunk++;
    this.#held ??= { partition: place.partition, offset: place.offset };
    const { sequence, instructions, rawBytes, bytes, digest, last } = chunk;
    this.#rows.push({ sequence, instructions, rawBytes, bytes, digest });
    const endsUnit = last || this.#nextChunk % CHUNKS_PER_UNIT === 0;
    const result = await this.#worker.analyse(this.#guestId, value, endsUnit);
    if (result === undefined) return false;
    const chunks = this.#rows;
    this.#rows = [];
    return this.#storeUnit({
      guestId: this.#guestId,
      unit: Math.floor(sequence / CHUNKS_PER_UNIT),
      chunks,
      ...result,
      last,
    });
  }

  async #storeUnit(unit: Unit): Promise<boolean> {
    this.#unstored = unit;
    await this.#store.insertUnit(unit);
    this.#unstored = undefined;
    this.#held = undefined;
    return unit.last;
  }
}
