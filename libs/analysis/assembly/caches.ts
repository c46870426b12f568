/** L1I, L1D and L2: sets of tags in order of recency, most recent first. */
import {
  DIRTY,
  EMPTY,
  L1D_MISSES,
  L1D_WRITE_BACKS,
  L1I_MISSES,
  L2_DATA_MISSES,
  L2_INSTRUCTION_MISSES,
  L2_WRITE_BACKS,
} from './layout';

export let lineShift: u32 = 0;
let l1i: usize = 0;
let l1iMask: u32 = 0;
let l1iShift: u32 = 0;
export let l1d: usize = 0;
export let l1dMask: u32 = 0;
export let l1dShift: u32 = 0;
export let l1dWays: u32 = 0;
let l2: usize = 0;
let l2Mask: u32 = 0;
let l2Shift: u32 = 0;

/** Line size and, per cache, base, number of sets and log2 of a set's bytes. */
export function configureCaches(
  logLine: u32,
  l1iBase: usize,
  l1iSets: u32,
  l1iLogSet: u32,
  l1dBase: usize,
  l1dSets: u32,
  l1dLogSet: u32,
  l2Base: usize,
  l2Sets: u32,
  l2LogSet: u32,
): void {
  lineShift = logLine;
  l1i = l1iBase;
  l1iMask = l1iSets - 1;
  l1iShift = l1iLogSet;
  l1d = l1dBase;
  l1dMask = l1dSets - 1;
  l1dShift = l1dLogSet;
  l1dWays = 1 << (l1dLogSet - 2);
  l2 = l2Base;
  l2Mask = l2Sets - 1;
  l2Shift = l2LogSet;
}

// @ts-ignore: decorator
@inline
export function bump(record: usize, counter: usize): void {
  store<u32>(record + counter, load<u32>(record + counter) + 1);
}

/** Brings `line` to the front of a set that does not have it there. Returns the old tag, or MISSED and sets `evicted`. */
const MISSED: u32 = 0xffffffff;
let evicted: u32 = 0;

function toFront(set: usize, logSet: u32, line: u32): u32 {
  let carried = load<u32>(set);
  const end = set + (<usize>1 << logSet);
  for (let way = set + 4; way < end; way += 4) {
    const tag = load<u32>(way);
    store<u32>(way, carried);
    if ((tag & EMPTY) == line) return tag;
    carried = tag;
  }
  evicted = carried;
  return MISSED;
}

/** A demand reference of the L2 by an L1 miss; `misses` names the counter. */
function demand(line: u32, cold: usize, misses: usize): void {
  const set = l2 + ((line & l2Mask) << l2Shift);
  if ((load<u32>(set) & EMPTY) == line) return;
  const tag = toFront(set, l2Shift, line);
  if (tag != MISSED) {
    store<u32>(set, tag);
    return;
  }
  bump(cold, misses);
  store<u32>(set, line);
  if (evicted & DIRTY) bump(cold, L2_WRITE_BACKS);
}

/** The L1D evicted a dirty line: the L2 takes it, also when it did not have it. No demand reference. */
function writeBack(line: u32, cold: usize): void {
  bump(cold, L1D_WRITE_BACKS);
  const set = l2 + ((line & l2Mask) << l2Shift);
  if ((load<u32>(set) & EMPTY) != line) {
    if (toFront(set, l2Shift, line) == MISSED && evicted & DIRTY) bump(cold, L2_WRITE_BACKS);
  }
  store<u32>(set, line | DIRTY);
}

function fetchBehindFront(set: usize, line: u32, cold: usize): void {
  const tag = toFront(set, l1iShift, line);
  store<u32>(set, line);
  if (tag != MISSED) return;
  bump(cold, L1I_MISSES);
  demand(line, cold, L2_INSTRUCTION_MISSES);
}

/** A data reference whose line is not at the front of its set; `dirty` is DIRTY for a write. */
export function referenceBehindFront(set: usize, line: u32, dirty: u32, cold: usize): void {
  const tag = toFront(set, l1dShift, line);
  if (tag != MISSED) {
    store<u32>(set, tag | dirty);
    return;
  }
  const victim = evicted;
  store<u32>(set, line | dirty);
  bump(cold, L1D_MISSES);
  demand(line, cold, L2_DATA_MISSES);
  if (victim & DIRTY) writeBack(victim & EMPTY, cold);
}

// @ts-ignore: decorator
@inline
export function fetch(line: u32, cold: usize): void {
  const set = l1i + ((line & l1iMask) << l1iShift);
  if (load<u32>(set) != line) fetchBehindFront(set, line, cold);
}

// @ts-ignore: decorator
@inline
export function reference(line: u32, dirty: u32, cold: usize): void {
  const set = l1d + ((line & l1dMask) << l1dShift);
  const tag = load<u32>(set);
  if ((tag & EMPTY) == line) store<u32>(set, tag | dirty);
  else referenceBehindFront(set, line, dirty, cold);
}
