import type { ChunkRow, ColumnStore, Unit } from '@pvtrail/column-store';
import type { ChunkProduced, GuestId } from '@pvtrail/contracts';
import type { LogRecord } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { chunkAnalysed, type Links, linksHere, unitStored, withSpan } from '@pvtrail/telemetry';
import type { AnalysisWorker } from './analysis-worker.js';
import type { UnitResult } from './worker-protocol.js';

/** Chunks of an insert unit: a fixed run of sequence numbers, whatever the deliveries were (definitions §6). */
const CHUNKS_PER_UNIT = 16;

/** A unit for the store, and what it came from. */
type AnalysedUnit = { readonly unit: Unit; readonly chunks: readonly ChunkProduced[]; readonly links: Links };

/** One guest's way from chunks to stored units. Chunks come in order; repetitions of what is stored already are passed over. */
export class GuestAnalysis {
  readonly #guestId: GuestId;
  readonly #worker: Pick<AnalysisWorker, 'analyse'>;
  readonly #store: Pick<ColumnStore, 'insertUnit'>;
  #nextChunk: number;
  /** Of the unit under way, with the spans in which they were handled. */
  #chunks: { readonly chunk: ChunkProduced; readonly links: Links }[] = [];
  /** Analysed, but the store did not take it: the simulator is past it, so it is kept until it is stored. */
  #unstored: AnalysedUnit | undefined;
  /** Where in the log the first chunk lies that is not stored yet. */
  #held: Pick<LogRecord, 'partition' | 'offset'> | undefined;

  constructor(
    guestId: GuestId,
    worker: Pick<AnalysisWorker, 'analyse'>,
    store: Pick<ColumnStore, 'insertUnit'>,
    nextChunk: number,
  ) {
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
    this.#chunks.push({ chunk, links: linksHere() });
    const result = await this.#analyse(chunk, value);
    return result !== undefined && this.#storeUnit(this.#endUnit(chunk, result));
  }

  async #analyse(chunk: ChunkProduced, value: Uint8Array): Promise<UnitResult | undefined> {
    const { guestId, sequence, instructions, last } = chunk;
    const endsUnit = last || this.#nextChunk % CHUNKS_PER_UNIT === 0;
    const result = await withSpan('analyse', { guestId, sequence, instructions }, () =>
      this.#worker.analyse(guestId, value, endsUnit),
    );
    chunkAnalysed(chunk);
    return result;
  }

  #endUnit({ guestId, sequence, last }: ChunkProduced, result: UnitResult): AnalysedUnit {
    const handled = this.#chunks;
    this.#chunks = [];
    const chunks = handled.map(({ chunk }) => chunk);
    const unit = Math.floor(sequence / CHUNKS_PER_UNIT);
    return {
      unit: { guestId, unit, chunks: chunks.map(toRow), ...result, last },
      chunks,
      links: handled.flatMap(({ links }) => links),
    };
  }

  async #storeUnit(analysed: AnalysedUnit): Promise<boolean> {
    const { unit, chunks, links } = analysed;
    this.#unstored = analysed;
    await withSpan('insert', { guestId: unit.guestId, unit: unit.unit }, () => this.#store.insertUnit(unit), links);
    unitStored(chunks);
    this.#unstored = undefined;
    this.#held = undefined;
    return unit.last;
  }
}

const toRow = ({ sequence, instructions, rawBytes, bytes, digest }: ChunkProduced): ChunkRow => ({
  sequence,
  instructions,
  rawBytes,
  bytes,
  digest,
});
