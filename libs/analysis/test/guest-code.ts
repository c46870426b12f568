import { formatVirt, fromHex } from '@pvtrail/primitives';
import type { CatalogueFunction, CatalogueSite, KernelCatalogue } from '@pvtrail/pvops';
import { EVENT_KINDS, eventOf } from '@pvtrail/trace';
import { describeBlock } from '@pvtrail/x86';
import { BlockDescriptions } from '../src/block-descriptions.js';
import type { TraceBlock } from '../src/block-profile.js';
import { type AnalysisConfiguration, DEFAULT_CONFIGURATION } from '../src/configuration.js';
import { Simulator } from '../src/simulator.js';
import type { UnitStatistics } from '../src/statistics.js';
import { dictionaryOf } from './dictionary-of.js';
import { kernelModule } from './kernel-module.js';

const TEXT = 0xffffffff81000000n;
const USER = 0x400000n;

/** Address of a byte of kernel text, from its start. */
export const text = (offset: number): bigint => TEXT + BigInt(offset);
export const address = (offset: number): string => formatVirt(text(offset));

/** A block executed: `at` counts from the start of kernel (or user) text; `retired` stops it early with a page fault. */
export interface Executed {
  readonly at: number;
  readonly code: string;
  readonly user?: boolean;
  readonly retired?: number;
  /** Kind of a trap to the hypervisor behind it, by number. */
  readonly trap?: number;
  /** Where its references go, in the order of its slots; all to 0x5000 otherwise. */
  readonly addresses?: readonly number[];
  /** Of a rep string instruction. */
  readonly iterations?: number;
}

const blockOf = ({ at, code, user = false }: Executed): TraceBlock => ({
  virt: (user ? USER : TEXT) + BigInt(at),
  phys: (user ? 0x2000000 : 0x1000000) + at,
  physNextPage: 0,
  user,
  bits: 64,
  bytes: fromHex(code),
});

/** Where the frames of exceptions are pushed. */
const FRAME_TOP = 0x6000;

/** The statistics of blocks executed one after another in the measured region. */
export const execute = (
  catalogue: KernelCatalogue,
  executed: readonly Executed[],
  configuration: AnalysisConfiguration = DEFAULT_CONFIGURATION,
): UnitStatistics => {
  const blocks = executed.map(blockOf);
  const shapes = blocks.map(({ bytes, virt }) => describeBlock(bytes, virt, 64));
  const retiredOf = (i: number): number => executed[i]?.retired ?? 64;
  const events = executed.flatMap(({ retired, trap }, i) => [
    i,
    ...(retired === undefined ? [] : [eventOf(EVENT_KINDS.partial, retired)]),
    ...(retired === undefined || trap !== undefined ? [] : [eventOf(EVENT_KINDS.exception, 14)]),
    ...(trap === undefined ? [] : [eventOf(EVENT_KINDS.trap, trap)]),
  ]);
  const addresses = executed.flatMap((block, i) => {
    const slots = (shapes[i]?.slots ?? []).filter(({ instruction }) => instruction < retiredOf(i));
    return slots.map((_, slot) => block.addresses?.[slot] ?? 0x5000);
  });
  const extras = executed.flatMap(({ iterations, retired, trap }) => [
    ...(iterations === undefined ? [] : [iterations]),
    ...(retired === undefined || trap !== undefined ? [] : [FRAME_TOP]),
  ]);
  const descriptions = new BlockDescriptions(catalogue);
  const simulator = new Simulator({ module: kernelModule, descriptions, configuration });
  simulator.analyse(dictionaryOf(blocks), {
    events: Uint32Array.from([eventOf(EVENT_KINDS.marker, 2), ...events]),
    addresses: Uint32Array.from(addresses),
    extras: Uint32Array.from(extras),
  });
  return simulator.takeUnit();
};

const FUNCTION: CatalogueFunction = {
  name: 'sys_fork',
  address: address(0),
  slotBytes: 256,
  codeBytes: 200,
  kind: 'c',
};

export const catalogueWith = (parts: Partial<KernelCatalogue>): KernelCatalogue => ({
  format: 1,
  guest: 'native',
  bits: 64,
  stage: 'v2.6.29',
  symbols: {},
  opTable: [],
  functions: [FUNCTION],
  sites: [],
  thunks: [],
  saves: [],
  notSaves: [],
  ...parts,
});

/** A site at `at` whose unpatched form pushes the registers, calls, and pops them; push and pop of one byte each. */
export const siteAt = (at: number, op: string, length: number, registers: readonly string[] = []): CatalogueSite => ({
  address: address(at),
  length,
  function: 'sys_fork',
  op,
  type: 0,
  clobbers: 1,
  recordType: 'c-irq',
  innerSaves: [
    ...registers.map((register, offset) => ({ offset, kind: 'save' as const, register })),
    ...registers.map((register, i) => ({ offset: length - 1 - i, kind: 'restore' as const, register })),
  ],
});
