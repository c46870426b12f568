/**
 * L1I, L1D and L2 in three passes over batches, because what the host cannot predict is not whether a line is there but which
 * branch its absence takes: no pass branches on it.
 *
 * 1. Every reference is compared with the line last referenced in its set (`front`). The others are queued.
 * 2. The queued references go through the sets of L1I and L1D. Misses are queued, and dirty victims behind them.
 * 3. Those go through the sets of the L2.
 *
 * Order within a queue is the order of execution, so the result is that of one pass. A set holds its tags in order of recency.
 */
import { DIRTY, EMPTY, L1D_WRITE_BACKS, L2_DEMAND, L2_WRITE_BACKS } from './layout';

export let lineShift: u32 = 0;
let l1iFront: usize = 0;
let l1iSets: usize = 0;
let l1iMask: u32 = 0;
let l1iShift: u32 = 0;
let l1dFront: usize = 0;
let l1dSets: usize = 0;
let l1dMask: u32 = 0;
let l1dShift: u32 = 0;
export let l1dWays: u32 = 0;
let l2Sets: usize = 0;
let l2Mask: u32 = 0;
let l2Shift: u32 = 0;

/** Entries of the first queue: u32 address of the set, u32 line | dirty bit of the front it displaced, u32 cold record (+ 4: data). */
const FIRST_ENTRY: usize = 12;
/** Entries of the second queue: u32 line (DIRTY: a write-back), u32 counter of its misses, u32 cold record. */
const SECOND_ENTRY: usize = 12;
const BATCH: usize = 512;
/** More than the references of a block that are queued without asking for room: 255 lines and 2047 slots. */
const SLACK: usize = 2560;
export const QUEUE_BYTES: usize = (BATCH + SLACK) * (FIRST_ENTRY + 2 * SECOND_ENTRY) + 64;

let firstQueue: usize = 0;
export let firstFull: usize = 0;
/** Where the next reference is queued. The hot loop keeps it in a local. */
export let firstEnd: usize = 0;
let secondQueue: usize = 0;
/** A count that nobody reads. */
let nowhere: usize = 0;

/** Line size and, per cache, the line last referenced per set (L1s), tags, number of sets and log2 of a set's bytes. */
export function configureCaches(
  logLine: u32,
  l1iFrontBase: usize,
  l1iBase: usize,
  l1iCount: u32,
  l1iLogSet: u32,
  l1dFrontBase: usize,
  l1dBase: usize,
  l1dCount: u32,
  l1dLogSet: u32,
  l2Base: usize,
  l2Count: u32,
  l2LogSet: u32,
  queues: usize,
): void {
  lineShift = logLine;
  l1iFront = l1iFrontBase;
  l1iSets = l1iBase;
  l1iMask = l1iCount - 1;
  l1iShift = l1iLogSet;
  l1dFront = l1dFrontBase;
  l1dSets = l1dBase;
  l1dMask = l1dCount - 1;
  l1dShift = l1dLogSet;
  l1dWays = 1 << (l1dLogSet - 2);
  l2Sets = l2Base;
  l2Mask = l2Count - 1;
  l2Shift = l2LogSet;
  firstQueue = queues;
  firstEnd = queues;
  firstFull = queues + BATCH * FIRST_ENTRY;
  secondQueue = queues + (BATCH + SLACK) * FIRST_ENTRY;
  nowhere = queues + QUEUE_BYTES - 64;
}

// @ts-ignore: decorator
@inline
export function add(record: usize, counter: usize, amount: u32): void {
  store<u32>(record + counter, load<u32>(record + counter) + amount);
}

export function setQueueEnd(end: usize): void {
  firstEnd = end;
}

/** The first pass over the fetch of a line, and below over a reference to data: queued at `queue`; returns the queue's new end. */
// @ts-ignore: decorator
@inline
export function fetch(queue: usize, line: u32, cold: usize): usize {
  const set = line & l1iMask;
  const front = l1iFront + (set << 2);
  const same = load<u32>(front) == line;
  store<u32>(front, line);
  store<u32>(queue, l1iSets + (set << l1iShift));
  store<u32>(queue, line, 4);
  store<u32>(queue, cold, 8);
  return queue + (same ? 0 : FIRST_ENTRY);
}

/** `dirty` is DIRTY for a write. A front collects its dirty bit until another line displaces it. */
// @ts-ignore: decorator
@inline
export function reference(queue: usize, line: u32, dirty: u32, cold: usize): usize {
  const set = line & l1dMask;
  const front = l1dFront + (set << 2);
  const before = load<u32>(front);
  const wasDirty = before & DIRTY;
  const same = (before & EMPTY) == line;
  store<u32>(front, line | dirty | (same ? wasDirty : 0));
  store<u32>(queue, l1dSets + (set << l1dShift));
  store<u32>(queue, line | wasDirty, 4);
  store<u32>(queue, cold + 4, 8);
  return queue + (same ? 0 : FIRST_ENTRY);
}

/** In loops over references: keeps the room that `fetch` and `reference` rely on. */
// @ts-ignore: decorator
@inline
export function keepRoom(): void {
  if (firstEnd >= firstFull) drain();
}

/** The second and third pass over everything queued. */
export function drain(): void {
  const last = throughL1();
  for (let entry = secondQueue; entry < last; entry += SECOND_ENTRY) {
    const tag = load<u32>(entry);
    const cold: usize = load<u32>(entry, 8);
    const missed = promote(l2Sets + ((tag & l2Mask) << l2Shift), l2Shift, tag & EMPTY, tag & DIRTY, 0);
    add(load<u32>(entry, 4), 0, missed);
    add(cold, L2_WRITE_BACKS, missed & (evicted >>> 31));
  }
  firstEnd = firstQueue;
}

/** Queues misses and dirty victims for the L2; returns the end of that queue. */
function throughL1(): usize {
  const end = firstEnd;
  let out = secondQueue;
  for (let entry = firstQueue; entry < end; entry += FIRST_ENTRY) {
    const set: usize = load<u32>(entry);
    const tag = load<u32>(entry, 4);
    const line = tag & EMPTY;
    const misses: usize = load<u32>(entry, 8);
    const data = misses & 4;
    const cold = misses - data;
    const missed = promote(set, data ? l1dShift : l1iShift, line, 0, tag & DIRTY);
    const wroteBack = missed & (evicted >>> 31);
    add(misses, 0, missed);
    add(cold, L1D_WRITE_BACKS, wroteBack);
    store<u32>(out, line);
    store<u32>(out, misses + L2_DEMAND, 4);
    store<u32>(out, cold, 8);
    out += missed ? SECOND_ENTRY : 0;
    store<u32>(out, evicted);
    store<u32>(out, nowhere, 4);
    store<u32>(out, cold, 8);
    out += wroteBack ? SECOND_ENTRY : 0;
  }
  return out;
}

/** The tag that `promote` took out of its set, if it missed. */
let evicted: u32 = 0;

/**
 * Puts `line` at the front of a set: with its dirty bit or `dirty`, the ways before it moved back by one. `frontDirty` is added to
 * the front's dirty bit first. Returns 1 when the set did not have the line: then all ways moved, and the last was `evicted`.
 */
// @ts-ignore: decorator
@inline
function promote(set: usize, logSet: u32, line: u32, dirty: u32, frontDirty: u32): u32 {
  return logSet == 5
    ? promoteInEight(set, line, dirty, frontDirty)
    : promoteInAny(set, logSet, line, dirty, frontDirty);
}

function promoteInAny(set: usize, logSet: u32, line: u32, dirty: u32, frontDirty: u32): u32 {
  store<u32>(set, load<u32>(set) | frontDirty);
  let carried = line | dirty;
  const end = set + (<usize>1 << logSet);
  for (let way = set; way < end; way += 4) {
    const tag = load<u32>(way);
    store<u32>(way, carried);
    if ((tag & EMPTY) == line) {
      store<u32>(set, tag | dirty);
      return 0;
    }
    carried = tag;
  }
  evicted = carried;
  return 1;
}

/**
 * Eight ways without a loop: all tags are compared at once and shifted in two vectors up to the line's way.
 * The lanes 3 to 6 of two vectors are one instruction of an x86 host (palignr), others are several.
 */
// @ts-ignore: decorator
@inline
function promoteInEight(set: usize, line: u32, dirty: u32, frontDirty: u32): u32 {
  const near = v128.or(v128.load(set), i32x4.replace_lane(i32x4.splat(0), 0, frontDirty));
  const far = v128.load(set, 16);
  const wanted = i32x4.splat(line);
  const number = i32x4.splat(EMPTY);
  const nearHits = i32x4.bitmask(i32x4.eq(v128.and(near, number), wanted));
  const farHits = i32x4.bitmask(i32x4.eq(v128.and(far, number), wanted));
  const hits: u32 = nearHits | (farHits << 4);
  const way = ctz(hits | 0x80);
  const tag = load<u32>(set + (way << 2)) | (way ? 0 : frontDirty);
  const front = line | dirty | (hits ? tag & DIRTY : 0);
  const last = i32x4.splat(way);
  const moves = i32x4.le_s(i32x4(0, 1, 2, 3), last);
  const movesFar = i32x4.le_s(i32x4(4, 5, 6, 7), last);
  v128.store(set, v128.bitselect(v128.shuffle<i32>(i32x4.splat(front), near, 3, 4, 5, 6), near, moves));
  v128.store(set, v128.bitselect(v128.shuffle<i32>(near, far, 3, 4, 5, 6), far, movesFar), 16);
  evicted = tag;
  return <u32>(hits == 0);
}
