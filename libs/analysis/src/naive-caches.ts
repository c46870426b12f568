import { type CacheGeometry, type CacheShape, setsOf } from './configuration.js';

/** What the hierarchy counts, in the names of the statistics. */
export interface CacheCounts {
  l1iMisses: number;
  l1dMisses: number;
  l2InstructionMisses: number;
  l2DataMisses: number;
  l1dWriteBacks: number;
  l2WriteBacks: number;
}

/** References that found their line; of the L2, demands of the L1s. */
export interface CacheHits {
  readonly l1i: number;
  readonly l1d: number;
  readonly l2: number;
}

interface Entry {
  readonly line: number;
  dirty: boolean;
}

/** One cache in plain objects: the slow twin of assembly/caches.ts. */
class NaiveCache {
  readonly #sets: Entry[][];
  readonly #ways: number;

  constructor(shape: CacheShape) {
    this.#sets = Array.from({ length: setsOf(shape) }, () => []);
    this.#ways = shape.ways;
  }

  /** References a line, which is the most recent of its set afterwards; `victim` had to leave for it. */
  reference(line: number, makesDirty: boolean): { hit: boolean; victim: Entry | undefined } {
    const set = this.#sets[line % this.#sets.length] ?? [];
    const position = set.findIndex((entry) => entry.line === line);
    const known = position < 0 ? undefined : set.splice(position, 1)[0];
    set.unshift({ line, dirty: makesDirty || known?.dirty === true });
    return { hit: known !== undefined, victim: set.length > this.#ways ? set.pop() : undefined };
  }
}

/** L1I and L1D in front of an L2 (definitions §4). A missing line is fetched before its victim is written back. */
export class NaiveCaches {
  readonly #l1i: NaiveCache;
  readonly #l1d: NaiveCache;
  readonly #l2: NaiveCache;
  #hits = { l1i: 0, l1d: 0, l2: 0 };

  constructor({ l1i, l1d, l2 }: CacheGeometry) {
    this.#l1i = new NaiveCache(l1i);
    this.#l1d = new NaiveCache(l1d);
    this.#l2 = new NaiveCache(l2);
  }

  /** Hits since the last call. */
  takeHits(): CacheHits {
    const hits = this.#hits;
    this.#hits = { l1i: 0, l1d: 0, l2: 0 };
    return hits;
  }

  fetch(line: number, counts: CacheCounts): void {
    if (this.#l1i.reference(line, false).hit) {
      this.#hits.l1i++;
      return;
    }
    counts.l1iMisses++;
    this.#demand(line, 'l2InstructionMisses', counts);
  }

  data(line: number, writes: boolean, counts: CacheCounts): void {
    const { hit, victim } = this.#l1d.reference(line, writes);
    if (hit) {
      this.#hits.l1d++;
      return;
    }
    counts.l1dMisses++;
    this.#demand(line, 'l2DataMisses', counts);
    if (victim?.dirty !== true) return;
    counts.l1dWriteBacks++;
    if (this.#l2.reference(victim.line, true).victim?.dirty === true) counts.l2WriteBacks++;
  }

  #demand(line: number, miss: 'l2InstructionMisses' | 'l2DataMisses', counts: CacheCounts): void {
    const { hit, victim } = this.#l2.reference(line, false);
    if (hit) this.#hits.l2++;
    else counts[miss]++;
    if (victim?.dirty === true) counts.l2WriteBacks++;
  }
}
