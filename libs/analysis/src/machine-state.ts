import type { Arena } from './arena.js';
import { type AnalysisConfiguration, type CacheShape, setsOf } from './configuration.js';
import type { Kernel, Layout } from './kernel.js';

/** The tables of caches and predictor in the kernel's memory. */
export interface MachineState {
  /** All of them as one range of bytes, a view that is valid until the memory grows. */
  bytes(): Uint8Array;
}

const WEAKLY_NOT_TAKEN = 1;
const NO_BRANCH = 0xffffffff;
const TAG_BYTES = 4;
const TARGET_BYTES = 8;

/** Allocates empty caches and an unlearned predictor, and tells the kernel where they are. */
export const machineStateOf = (
  arena: Arena,
  layout: Layout,
  kernel: Kernel,
  { caches, predictor }: AnalysisConfiguration,
): MachineState => {
  const { l1i, l1d, l2 } = caches;
  const { counters, historyBits, targetSets, targetWays, returnDepth } = predictor;
  const sizes = [
    setsOf(l1i) * TAG_BYTES,
    setsOf(l1d) * TAG_BYTES,
    ...[l1i, l1d, l2].map(tagBytes),
    targetSets * targetWays * TARGET_BYTES,
    returnDepth * 4,
    Math.max(counters, 4),
  ];
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const base = arena.allocate(total, 64);
  const queues = arena.allocate(layout.QUEUE_BYTES, 64);
  const places = offsets(base, sizes);
  const [l1iFront = 0, l1dFront = 0, l1iBase = 0, l1dBase = 0, l2Base = 0, targets = 0, returns = 0, gshare = 0] =
    places;
  arena.words.fill(layout.EMPTY, l1iFront >> 2, targets >> 2);
  arena.words.fill(NO_BRANCH, targets >> 2, returns >> 2);
  arena.bytes(gshare, counters).fill(WEAKLY_NOT_TAKEN);
  const logSet = ({ ways }: CacheShape): number => Math.log2(ways * TAG_BYTES);
  kernel.configureCaches(
    Math.log2(l1i.lineBytes),
    ...([l1iFront, l1iBase, setsOf(l1i), logSet(l1i)] as const),
    ...([l1dFront, l1dBase, setsOf(l1d), logSet(l1d)] as const),
    ...([l2Base, setsOf(l2), logSet(l2)] as const),
    queues,
  );
  kernel.configurePredictor(gshare, counters, historyBits, targets, targetSets, targetWays, returns, returnDepth);
  return { bytes: () => arena.bytes(base, total) };
};

const tagBytes = ({ sizeBytes, lineBytes }: CacheShape): number => (sizeBytes / lineBytes) * TAG_BYTES;

const offsets = (base: number, sizes: readonly number[]): number[] => {
  let at = base;
  return sizes.map((size) => {
    const offset = at;
    at += size;
    return offset;
  });
};
