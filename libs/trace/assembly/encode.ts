// The hot half of the encoder: raw columns (ADR 002) → the columns of docs/trace-format.md.
// It works where the raw columns are; one instance serves one encoder. src/encoder.ts says where everything lies.
import {
  ALTERNATE,
  COLD_SHIFT,
  CONTINUATION,
  EVENT,
  FROM_LAST,
  FROM_NEIGHBOUR,
  FROM_NEIGHBOUR_AGAIN,
  HOT_SHIFT,
  KIND_CONTINUATION,
  KIND_EXCEPTION,
  KIND_INTERRUPT,
  KIND_PARTIAL,
  KIND_SPLIT,
  learn,
  nextHistory,
  PAYLOAD_MASK,
  predict,
  TOKEN_LAST_SUCCESSOR,
  TOKEN_NEW,
  UNMOVED,
  zigzag,
} from './prediction';

/** Number of reference slots in the first `instructions` instructions of a raw block. */
// @ts-ignore: decorator
@external("env", "slotsBefore")
declare function slotsBefore(rawId: u32, instructions: u32): u32;

// Places, set by the caller before the first call.
export let encBlocks: usize = 0; // per raw id 16 bytes: u16 local (0: not in the chunk), u16 slots, u32 first slot, u16 instructions, u16 flags, u32 charge
export let encBlockCount: u32 = 0;
export let encSuccessors: usize = 0; // u16 per history
export let encLastSuccessors: usize = 0; // u16 per local
export let encRepCounts: usize = 0; // u32 per local
export let encHot: usize = 0;
export let encCold: usize = 0;
export let encLocals: usize = 0; // u32 raw id per local, from local 1 on
// Per raw id 32 bytes: u64 virtual address, u32 physical address, u32 second page or 0, u32 where its code lies, u16 length, u16 flags of
// the dictionary.
export let encDetails: usize = 0;

// Limits of a chunk, set by the caller.
export let encMaxInstructions: u32 = 0;
export let encMaxBytes: i32 = 0;
export let encMaxSlots: u32 = 0;
export let encMaxAddresses: u32 = 0;

// The columns: begin (set by the caller) and end.
export let encDictionary: usize = 0;
export let encDictionaryEnd: usize = 0;
export let encCode: usize = 0;
export let encCodeEnd: usize = 0;
export let encSequence: usize = 0;
export let encSequenceEnd: usize = 0;
export let encAddresses: usize = 0;
export let encAddressesEnd: usize = 0;
export let encEvents: usize = 0;
export let encEventsEnd: usize = 0;
export let encCounts: usize = 0;
export let encCountsEnd: usize = 0;

// The chunk so far.
export let encInstructions: u32 = 0;
export let encKernelInstructions: u32 = 0;
export let encExecutions: u32 = 0;
export let encEventCount: u32 = 0;
export let encAddressCount: u32 = 0;
export let encExtraCount: u32 = 0;
export let encLocalCount: u32 = 0;
export let encSlotCount: u32 = 0;

// How far the raw columns are consumed.
export let encEventAt: usize = 0;
export let encAddressAt: usize = 0;
export let encExtraAt: usize = 0;

let history: u32 = 0;
let previous: u32 = 0; // raw id + 1 of the last block
let previousLocal: u32 = 0;
let hits: u32 = 0;
let addressHits: u32 = 0;
let neighbour: u32 = 0;
let distance: u32 = 0; // blocks since the last event
let lastFrame: u32 = 0;
let lastSplit: u32 = 0;
let lastOffset: u32 = 0; // physical less virtual address of the last block admitted
let lastEnd: u64 = 0; // virtual address behind it
let budget: i32 = 0; // bytes that the chunk may still grow by

export const FLAG_KERNEL: u32 = 1;
export const FLAG_REP: u32 = 2;

/** Flags of a dictionary entry (src/dictionary.ts), beside those that the caller sets. */
const ENTRY_NEXT_PAGE: u32 = 4;
const ENTRY_NEW_OFFSET: u32 = 8;
const PAGE_MASK: u32 = 0xfff;

/** Bits 31..24 of a partial and of a split. */
const PARTIAL_BYTE: u32 = 0x80 | KIND_PARTIAL;
const SPLIT_BYTE: u32 = 0x80 | KIND_SPLIT;

const DONE: i32 = 0;
const FULL: i32 = 1;
const UNKNOWN_BLOCK: i32 = 2;
const MISSING_ADDRESSES: i32 = 3;
const MISSING_EXTRAS: i32 = 4;
const MISPLACED_EVENT: i32 = 5;

/** Raw events between two calls of the inner loop: lets V8 go on with the optimised code as soon as it has it. */
const RUN_EVENTS: u32 = 1 << 14;

// @ts-ignore: decorator
@inline
function putVarint(at: usize, value: u64): usize {
  if (value >= 0x80) return putLongVarint(at, value);
  store<u8>(at, <u8>value);
  return at + 1;
}

function putLongVarint(at: usize, value: u64): usize {
  while (value >= 0x80) {
    store<u8>(at++, <u8>value | 0x80);
    value >>= 7;
  }
  store<u8>(at, <u8>value);
  return at + 1;
}

/** Forgets everything: predictors start afresh in every chunk. */
export function encBegin(): void {
  for (let local: u32 = 1; local <= encLocalCount; local++) {
    store<u16>(encBlocks + (<usize>load<u32>(encLocals + (<usize>local << 2)) << 4), 0);
  }
  memory.fill(encSuccessors, 0, 1 << 16);
  encDictionaryEnd = encDictionary;
  encCodeEnd = encCode;
  encSequenceEnd = encSequence;
  encAddressesEnd = encAddresses;
  encEventsEnd = encEvents;
  encCountsEnd = encCounts;
  encInstructions = encKernelInstructions = encExecutions = encEventCount = encAddressCount = encExtraCount = 0;
  encLocalCount = encSlotCount = 0;
  history = previous = previousLocal = hits = addressHits = neighbour = distance = lastFrame = lastSplit = lastOffset = 0;
  lastEnd = 0;
  budget = encMaxBytes;
}

/** Writes the runs that no miss has ended. */
export function encFinish(): void {
  encSequenceEnd = putVarint(encSequenceEnd, hits);
  encAddressesEnd = putVarint(encAddressesEnd, addressHits);
  hits = addressHits = 0;
}

/** The block's entry in the dictionary, against the one before, and its code. */
function putDescription(rawId: u32, slots: u32, instructions: u32): void {
  const details = encDetails + (<usize>rawId << 5);
  const virt = load<u64>(details);
  const phys = load<u32>(details, 8);
  const nextPage = load<u32>(details, 12);
  const length = <u32>load<u16>(details, 20);
  const offset = phys - <u32>virt;
  const fromEnd = virt - lastEnd;
  let flags = <u32>load<u16>(details, 22);
  if (nextPage != 0) flags |= ENTRY_NEXT_PAGE;
  if (offset != lastOffset) flags |= ENTRY_NEW_OFFSET;
  store<u8>(encDictionaryEnd, <u8>flags);
  let at = putVarint(encDictionaryEnd + 1, (fromEnd << 1) ^ <u64>(<i64>fromEnd >> 63));
  if (offset != lastOffset) at = putVarint(at, zigzag(offset - lastOffset));
  if (nextPage != 0) at = putVarint(at, zigzag(nextPage - ((phys | PAGE_MASK) + 1)));
  at = putVarint(putVarint(at, length), slots);
  store<u8>(at, <u8>instructions);
  encDictionaryEnd = at + 1;
  memory.copy(encCodeEnd, load<u32>(details, 16), length);
  encCodeEnd += length;
  lastOffset = offset;
  lastEnd = virt + length;
}

function admit(entry: usize, rawId: u32): u32 {
  const local = ++encLocalCount;
  const slots = <u32>load<u16>(entry, 2);
  store<u16>(entry, <u16>local);
  store<u32>(entry, encSlotCount, 4);
  store<u32>(encLocals + (<usize>local << 2), rawId);
  store<u16>(encLastSuccessors + (<usize>local << 1), 0);
  store<u32>(encRepCounts + (<usize>local << 2), 0);
  memory.fill(encHot + (<usize>encSlotCount << HOT_SHIFT), 0, <usize>slots << HOT_SHIFT);
  memory.fill(encCold + (<usize>encSlotCount << COLD_SHIFT), 0, <usize>slots << COLD_SHIFT);
  encSlotCount += slots;
  putDescription(rawId, slots, load<u16>(entry, 8));
  budget -= load<i32>(entry, 12);
  if (encSlotCount >= encMaxSlots) budget = min(budget, 0);
  return local;
}

/** Ends a run of predicted blocks by the one that came instead; returns its local number. */
function missBlock(entry: usize, rawId: u32, run: u32, before: u32): u32 {
  let local = <u32>load<u16>(entry);
  const begin = encSequenceEnd;
  let at = putVarint(begin, run);
  const lastSuccessor = encLastSuccessors + (<usize>before << 1);
  if (local == 0) {
    local = admit(entry, rawId);
    at = putVarint(at, TOKEN_NEW);
  } else if (<u32>load<u16>(lastSuccessor) == local) {
    at = putVarint(at, TOKEN_LAST_SUCCESSOR);
  } else {
    at = putVarint(at, local + 1);
  }
  store<u16>(lastSuccessor, <u16>local);
  encSequenceEnd = at;
  budget -= <i32>(at - begin);
  return local;
}

/** The token that says what a missed address is. */
function addressToken(hot: usize, cold: usize, address: u32, near: u32): u64 {
  if (address == near + load<u32>(cold, 4)) return FROM_NEIGHBOUR_AGAIN;
  if (address == load<u32>(cold, 8)) return ALTERNATE;
  const fromLast = zigzag(address - load<u32>(hot));
  const fromNeighbour = zigzag(address - near);
  return fromLast <= fromNeighbour ? (<u64>fromLast << 2) | FROM_LAST : (<u64>fromNeighbour << 2) | FROM_NEIGHBOUR;
}

/** The iteration count of a rep run, against the last one of its block. */
function putCount(local: u32, count: u32): void {
  const place = encRepCounts + (<usize>local << 2);
  const end = putVarint(encCountsEnd, zigzag(count - load<u32>(place)));
  store<u32>(place, count);
  budget -= <i32>(end - encCountsEnd);
  encCountsEnd = end;
}

/** The addresses of `count` slots from `slot` on, one by one, and past them. */
function putAddresses(slot: u32, count: u32): void {
  let from = encAddressAt;
  let hot = encHot + (<usize>slot << HOT_SHIFT);
  let cold = encCold + (<usize>slot << COLD_SHIFT);
  let near = neighbour;
  let run = addressHits;
  let shift = UNMOVED;
  let at = encAddressesEnd;
  for (const stop = from + (<usize>count << 2); from < stop; from += 4) {
    const address = load<u32>(from);
    if (address == predict(hot, cold, shift)) {
      run++;
    } else {
      at = putVarint(putVarint(at, run), addressToken(hot, cold, address, near));
      run = 0;
    }
    shift = learn(hot, cold, address, near, shift);
    near = address;
    hot += 1 << HOT_SHIFT;
    cold += 1 << COLD_SHIFT;
  }
  budget -= <i32>(at - encAddressesEnd);
  encAddressesEnd = at;
  encAddressAt = from;
  encAddressCount += count;
  neighbour = near;
  addressHits = run;
}

/** How many of `count` addresses are as the strides say, up to the first that is not: they are learnt. */
// @ts-ignore: decorator
@inline
function matchStrides(slot: u32, count: u32, from: usize): u32 {
  let hot = encHot + (<usize>slot << HOT_SHIFT);
  const stop = from + (<usize>count << 2);
  for (let at = from; at < stop; at += 4, hot += 1 << HOT_SHIFT) {
    const address = load<u32>(at);
    if (address != load<u32>(hot) + load<u32>(hot, 4)) return <u32>((at - from) >> 2);
    store<u32>(hot, address);
  }
  return count;
}

function beginEvent(kind: u32): usize {
  const at = putVarint(encEventsEnd, distance);
  store<u8>(at, <u8>kind);
  distance = 0;
  encEventCount++;
  return at + 1;
}

function endEvent(at: usize): void {
  budget -= <i32>(at - encEventsEnd);
  encEventsEnd = at;
}

/** An event of type 10 that is no partial; its extra has been found to be there. */
function putEvent(kind: u32, payload: u32, extra: u32): void {
  let at = putVarint(beginEvent(kind), payload);
  if (kind == KIND_INTERRUPT || kind == KIND_EXCEPTION) {
    at = putVarint(at, zigzag(extra - lastFrame));
    lastFrame = extra;
  } else if (kind == KIND_SPLIT) {
    at = putVarint(at, zigzag(extra - lastSplit));
    lastSplit = extra;
  }
  endEvent(at);
}

function hasExtra(kind: u32): bool {
  return kind == KIND_INTERRUPT || kind == KIND_EXCEPTION || kind == KIND_SPLIT;
}

/** Everything that is not a block: returns a status, advances the three positions. */
function handleEvent(event: u32, adEnd: usize, exEnd: usize): i32 {
  if (previous == 0 && event < EVENT) return MISPLACED_EVENT;
  const entry = encBlocks + (<usize>(previous - 1) << 4);
  if (event < EVENT) {
    if ((event & PAYLOAD_MASK) + 1 != previous || !(<u32>load<u16>(entry, 10) & FLAG_REP)) return MISPLACED_EVENT;
    const slots = <u32>load<u16>(entry, 2);
    if (encAddressAt + (<usize>slots << 2) > adEnd) return MISSING_ADDRESSES;
    if (encExtraAt >= exEnd) return MISSING_EXTRAS;
    endEvent(beginEvent(KIND_CONTINUATION));
    putAddresses(load<u32>(entry, 4), slots);
    putCount(load<u16>(entry), load<u32>(encExtraAt));
    encExtraAt += 4;
    encExtraCount++;
    return DONE;
  }
  const kind = (event >>> 24) & 0x3f;
  const payload = event & PAYLOAD_MASK;
  if (kind == KIND_PARTIAL) {
    if (previous == 0) return MISPLACED_EVENT;
    const instructions = <u32>load<u16>(entry, 8);
    if (payload > instructions) return MISPLACED_EVENT;
    encInstructions -= instructions - payload;
    if (<u32>load<u16>(entry, 10) & FLAG_KERNEL) encKernelInstructions -= instructions - payload;
    const present = <u32>load<u16>(entry, 10) & FLAG_REP ? <u32>load<u16>(entry, 2) : slotsBefore(previous - 1, payload);
    endEvent(putVarint(putVarint(beginEvent(kind), payload), present));
    return DONE;
  }
  let extra: u32 = 0;
  if (hasExtra(kind)) {
    if (encExtraAt >= exEnd) return MISSING_EXTRAS;
    extra = load<u32>(encExtraAt);
    encExtraAt += 4;
    encExtraCount++;
  }
  putEvent(kind, payload, extra);
  return DONE;
}

/** Puts the partial that follows a block and its splits before the splits, where the format wants it. */
function partialFirst(ev: usize, evEnd: usize): void {
  let at = ev;
  while (at < evEnd && load<u32>(at) >>> 24 == SPLIT_BYTE) at += 4;
  if (at == ev || at >= evEnd) return;
  const partial = load<u32>(at);
  if (partial >>> 24 != PARTIAL_BYTE) return;
  memory.copy(ev + 4, ev, at - ev);
  store<u32>(ev, partial);
}

/** Slots whose addresses are present: all, unless the next event says that the block retired in part. */
function slotsPresent(entry: usize, rawId: u32, ev: usize, evEnd: usize): u32 {
  const slots = <u32>load<u16>(entry, 2);
  if (<u32>load<u16>(entry, 10) & FLAG_REP) return slots;
  partialFirst(ev, evEnd);
  const next = load<u32>(ev);
  return next >>> 24 == PARTIAL_BYTE ? slotsBefore(rawId, next & PAYLOAD_MASK) : slots;
}

/**
 * Encodes until the first block at or behind `evStop`; see encEncode. What changes with every block is kept in locals and settled
 * before an event and at the end.
 */
function encodeRun(evStop: usize, evEnd: usize, adEnd: usize, exEnd: usize): i32 {
  const blocks = encBlocks;
  const blockCount = encBlockCount;
  const successors = encSuccessors;
  const maxInstructions = encMaxInstructions;
  const adFull = encAddressAt - (<usize>encAddressCount << 2) + (<usize>encMaxAddresses << 2);
  let ev = encEventAt;
  let ad = encAddressAt;
  let context = history;
  let blockRun = hits;
  let addressRun = addressHits;
  let before = previousLocal;
  let rawBefore = previous;
  let executed: u32 = 0;
  let instructions = encInstructions;
  let kernelInstructions: u32 = 0;
  let status = DONE;
  while (ev < evEnd) {
    const event = load<u32>(ev);
    if (event >= CONTINUATION) {
      settle(executed, instructions, kernelInstructions, rawBefore);
      settleAddresses(ad, addressRun);
      executed = kernelInstructions = 0;
      status = handleEvent(event, adEnd, exEnd);
      if (status != DONE) break;
      instructions = encInstructions;
      ad = encAddressAt;
      addressRun = addressHits;
      ev += 4;
      continue;
    }
    if (ev >= evStop) break;
    if (instructions >= maxInstructions || budget <= 0 || ad >= adFull) {
      status = FULL;
      break;
    }
    if (event >= blockCount) {
      status = UNKNOWN_BLOCK;
      break;
    }
    const entry = blocks + (<usize>event << 4);
    let local = <u32>load<u16>(entry);
    const predicted = successors + (<usize>context << 1);
    if (local != 0 && <u32>load<u16>(predicted) == local) {
      blockRun++;
    } else {
      local = missBlock(entry, event, blockRun, before);
      blockRun = 0;
      store<u16>(predicted, <u16>local);
    }
    context = nextHistory(context, local);
    before = local;
    rawBefore = event + 1;
    executed++;
    const meaning = load<u32>(entry, 8);
    const retired = meaning & 0xffff;
    const flags = meaning >> 16;
    instructions += retired;
    kernelInstructions += retired & (0 - (flags & FLAG_KERNEL));
    ev += 4;
    let slots = <u32>load<u16>(entry, 2);
    if (ev < evEnd) {
      if (load<u32>(ev) >= EVENT) slots = slotsPresent(entry, event, ev, evEnd);
    }
    const adNext = ad + (<usize>slots << 2);
    if (adNext > adEnd) {
      status = MISSING_ADDRESSES;
      break;
    }
    const slot = load<u32>(entry, 4);
    const matched = matchStrides(slot, slots, ad);
    addressRun += matched;
    if (matched != slots) {
      settleAddresses(ad + (<usize>matched << 2), addressRun);
      putAddresses(slot + matched, slots - matched);
      addressRun = addressHits;
    }
    ad = adNext;
    if (flags & FLAG_REP) {
      if (encExtraAt >= exEnd) {
        status = MISSING_EXTRAS;
        break;
      }
      putCount(local, load<u32>(encExtraAt));
      encExtraAt += 4;
      encExtraCount++;
    }
  }
  settle(executed, instructions, kernelInstructions, rawBefore);
  settleAddresses(ad, addressRun);
  encEventAt = ev;
  history = context;
  hits = blockRun;
  previousLocal = before;
  return status;
}

function settle(executed: u32, instructions: u32, kernelInstructions: u32, rawBefore: u32): void {
  encExecutions += executed;
  distance += executed;
  encInstructions = instructions;
  encKernelInstructions += kernelInstructions;
  previous = rawBefore;
}

/** All addresses before `to` are encoded, the last `run` of them as predicted. */
function settleAddresses(to: usize, run: u32): void {
  if (to != encAddressAt) neighbour = load<u32>(to - 4);
  encAddressCount += <u32>((to - encAddressAt) >> 2);
  encAddressAt = to;
  addressHits = run;
}

/**
 * Encodes raw columns from where encEventAt, encAddressAt and encExtraAt point, until they end (0), the chunk is full (1: finish it,
 * begin another and call again) or the columns are malformed (2 and more).
 */
export function encEncode(evEnd: usize, adEnd: usize, exEnd: usize): i32 {
  let status = DONE;
  do {
    status = encodeRun(min(encEventAt + (<usize>RUN_EVENTS << 2), evEnd), evEnd, adEnd, exEnd);
  } while (status == DONE && encEventAt < evEnd);
  return status;
}
