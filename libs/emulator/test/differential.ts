import { SeededRandom } from '@pvtrail/primitives';
import type { Bits } from './assembler.js';
import { type Batch, type BatchOptions, makeBatch } from './batch.js';
import type { Coverage } from './coverage.js';
import { GuestHost } from './guest-host.js';
import type { NativeHost, Outcome } from './native-host.js';
import { RegionGenerator } from './region-generator.js';
import { compareBatch, type Mismatch } from './report.js';

export interface DifferentialOptions {
  readonly bits: Bits;
  readonly cases: number;
  readonly seed: number;
  /** Stops after this many differing cases. */
  readonly maxMismatches: number;
  readonly onProgress?: (done: number) => void;
}

const CASES_PER_BATCH = 1000;
const STATES_PER_REGION = 8;
/** Translations pile up in a machine; a new one after some batches keeps memory bounded, and reuse tests invalidation. */
const BATCHES_PER_MACHINE = 10;

/** Privilege level and recording take turns. */
const MODES = [
  { cpl: 0, record: false },
  { cpl: 3, record: true },
  { cpl: 0, record: true },
  { cpl: 3, record: false },
] as const;

/** The emulated side: a machine for each mode, renewed now and then. */
export class GuestHosts {
  readonly #hosts = new Map<number, { host: GuestHost; batches: number }>();

  run(batch: Batch, mode: number): Outcome[] {
    const { cpl, record } = MODES[mode % MODES.length] ?? MODES[0];
    let entry = this.#hosts.get(mode % MODES.length);
    if (!entry || entry.batches >= BATCHES_PER_MACHINE)
      entry = { host: new GuestHost(batch.bits, cpl, record), batches: 0 };
    entry.batches++;
    this.#hosts.set(mode % MODES.length, entry);
    return entry.host.run(batch);
  }
}

/** The nth batch of a seed. */
export function nthBatch(generator: RegionGenerator, seed: number, n: number, cases: number): Batch {
  const { cpl } = MODES[n % MODES.length] ?? MODES[0];
  const options: BatchOptions = {
    cpl,
    cases: Math.min(cases, CASES_PER_BATCH),
    statesPerRegion: STATES_PER_REGION,
    seed: seed + n,
  };
  return makeBatch(generator, options);
}

/** Runs generated cases on both sides; returns the cases that differ and how many ran. */
export function runDifferential(
  native: NativeHost,
  options: DifferentialOptions,
  coverage?: Coverage,
): { done: number; mismatches: Mismatch[] } {
  const { bits, cases, seed, maxMismatches } = options;
  const generator = new RegionGenerator(new SeededRandom(seed), bits);
  const guests = new GuestHosts();
  const mismatches: Mismatch[] = [];
  let done = 0;
  for (let n = 0; done < cases && mismatches.length < maxMismatches; n++) {
    const batch = nthBatch(generator, seed, n, cases - done);
    const expected = native.run(batch);
    coverage?.add(batch, expected);
    const differing = compareBatch(batch, expected, guests.run(batch, n));
    for (const found of differing) mismatches.push({ seed, mode: n, batch, ...found });
    done += batch.cases.length;
    options.onProgress?.(done);
  }
  return { done, mismatches: mismatches.slice(0, maxMismatches) };
}
