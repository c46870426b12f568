import { SeededRandom } from '@pvtrail/primitives';
import { areasOf, CODE_ADDRESS, CODE_PAGES, GS_BASE, PAGE_BYTES } from './areas.js';
import type { Bits } from './assembler.js';
import { type PlacedRegion, place, type Region } from './region.js';
import type { GeneratedRegion, InitialState, RegionGenerator } from './region-generator.js';
import { interestingMemory } from './values.js';

/** A case: one region from one initial state. */
export interface Case {
  readonly region: number;
  readonly state: InitialState;
}

/** Regions placed one after another in the code area, the memory that every case starts from, and the cases. */
export interface Batch {
  readonly bits: Bits;
  readonly cpl: 0 | 3;
  readonly code: Uint8Array;
  /** Contents of the data areas, in the order of `areasOf`, the code area left out. */
  readonly contents: readonly Uint8Array[];
  readonly regions: readonly { readonly region: Region; readonly placed: PlacedRegion }[];
  readonly cases: readonly Case[];
  readonly gsBase: bigint;
}

const CODE_BYTES = CODE_PAGES * PAGE_BYTES;
const LONGEST_REGION_BYTES = 8192;

export interface BatchOptions {
  readonly cpl: 0 | 3;
  /** How many cases at most; a full code area ends the batch too. */
  readonly cases: number;
  readonly statesPerRegion: number;
  readonly seed: number;
}

/** Bytes 0xcc fill what no region covers. */
function emptyCode(): Uint8Array {
  return new Uint8Array(CODE_BYTES).fill(0xcc);
}

function dataContents(bits: Bits, seed: number): Uint8Array[] {
  const random = new SeededRandom(seed);
  return areasOf(bits)
    .filter((area) => area.name !== 'code')
    .map((area) => interestingMemory(random, area.pages * PAGE_BYTES));
}

export function makeBatch(generator: RegionGenerator, options: BatchOptions): Batch {
  const { cpl, statesPerRegion } = options;
  const { bits } = generator;
  const generated: GeneratedRegion[] = [];
  const code = emptyCode();
  let at = 0;
  const regions: Batch['regions'][number][] = [];
  const cases: Case[] = [];
  while (cases.length < options.cases && at < CODE_BYTES - LONGEST_REGION_BYTES) {
    const next = generator.next({ cpl, states: Math.min(statesPerRegion, options.cases - cases.length) });
    generated.push(next);
    const placed = place(next.region, CODE_ADDRESS + at);
    code.set(placed.bytes, at);
    at += placed.bytes.length + (generated.length % 4);
    for (const state of next.states) cases.push({ region: regions.length, state });
    regions.push({ region: next.region, placed });
  }
  return { bits, cpl, code, contents: dataContents(bits, options.seed), regions, cases, gsBase: BigInt(GS_BASE) };
}

/** A batch of one case with another region in the place of its own. */
export function singleCase(batch: Batch, region: Region, state: InitialState, address: number): Batch {
  const placed = place(region, address);
  const code = emptyCode();
  code.set(placed.bytes, address - CODE_ADDRESS);
  return { ...batch, code, regions: [{ region, placed }], cases: [{ region: 0, state }] };
}
