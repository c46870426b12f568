import { AppError } from '@pvtrail/primitives';
import { protocolError } from './kafka-errors.js';
import type { StoredRecord } from './kafka-record.js';
import type { Fetched, PartitionEnds } from './partition-fetcher.js';
import type { RecordCache } from './record-cache.js';

/** Bytes that one step of a scan takes into memory. */
const SCAN_BYTES = 4 << 20;

/** The partition that is indexed. */
type Source = {
  fetch(offset: number, maxBytes: number): Promise<Fetched>;
  ends(): Promise<readonly PartitionEnds[]>;
};

type Stream = {
  /** Records ever added; more than `offsets` has when the first ones are deleted. */
  version: number;
  readonly offsets: number[];
  /** The append that the last record belongs to. */
  append?: string | undefined;
};

/**
 * Where the records of each key lie in one partition, folded from the partition itself: offsets only, the records stay in Kafka.
 *
 * It also decides which appends count. Kafka cannot refuse a write because of what is in the log, so a writer writes with the length
 * that it expects, and every reader, going through the same records in the same order, finds the same first one to fit. An append whose
 * length does not fit came second, or is the repetition of one that arrived before its acknowledgement got lost: it is void.
 */
export class StreamIndex {
  readonly #partition: number;
  readonly #cache: RecordCache;
  readonly #source: Source;
  readonly #streams = new Map<string, Stream>();
  readonly #void = new Set<number>();
  /** Appends of this process that are not decided yet, and whether they count. */
  readonly #watched = new Map<string, boolean>();
  #next = 0;
  #logStart = 0;
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;

  constructor(partition: number, cache: RecordCache, source: Source) {
    this.#partition = partition;
    this.#cache = cache;
    this.#source = source;
  }

  /** Takes in everything that was in the partition when it was called. */
  refresh(): Promise<void> {
    this.#queued ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#queued = undefined;
        this.#running = this.#scan();
        return this.#running;
      });
    return this.#queued;
  }

  version(key: string): number {
    return this.#streams.get(key)?.version ?? 0;
  }

  /** Of the records that are still there. */
  offsets(key: string): readonly number[] {
    return this.#streams.get(key)?.offsets.filter((offset) => offset >= this.#logStart) ?? [];
  }

  /** False for a record of an append that came second. */
  async counts(offset: number): Promise<boolean> {
    if (offset >= this.#next) await this.refresh();
    return !this.#void.has(offset);
  }

  /** Before an append is sent: notes what becomes of it. */
  watch(id: string): void {
    this.#watched.set(id, false);
  }

  /** After the append was sent: whether it counts. */
  async outcome(id: string): Promise<boolean> {
    await this.refresh();
    const counts = this.#watched.get(id) === true;
    this.#watched.delete(id);
    return counts;
  }

  async #scan(): Promise<void> {
    for (;;) {
      const { records, highWatermark, logStart } = await this.#fetch();
      for (const stored of records) this.#add(stored);
      this.#logStart = logStart;
      this.#next = Math.max((records.at(-1)?.record.offset ?? -1) + 1, this.#next, logStart);
      if (records.length === 0 || this.#next >= highWatermark) return;
    }
  }

  async #fetch() {
    try {
      return await this.#source.fetch(this.#next, SCAN_BYTES);
    } catch (error) {
      if (!(error instanceof AppError) || protocolError(error) !== 'OFFSET_OUT_OF_RANGE') throw error;
      const ends = await this.#source.ends();
      this.#next = ends[this.#partition]?.low ?? 0;
      return this.#source.fetch(this.#next, SCAN_BYTES);
    }
  }

  #add({ record, append }: StoredRecord): void {
    const stream = this.#streams.get(record.key) ?? { version: 0, offsets: [] };
    const version = append === undefined ? stream.version : append.expected + append.place;
    const fits =
      append === undefined ||
      // the first record that is still there: whoever expected more had seen what was deleted since
      stream.version === 0 ||
      (version === stream.version && (append.place === 0 || stream.append === append.id));
    if (!fits) {
      this.#void.add(record.offset);
      return;
    }
    stream.version = version + 1;
    stream.offsets.push(record.offset);
    stream.append = append?.id;
    if (append !== undefined && this.#watched.has(append.id)) this.#watched.set(append.id, true);
    this.#streams.set(record.key, stream);
    this.#cache.add(record);
  }
}
