// The hot half of the decoder: the columns of docs/trace-format.md → raw columns (ADR 002) with the chunk's own block numbers.
// Input is hostile: every read and write is checked against its column's end, every index against its table.
import {
  ALTERNATE,
  COLD_SHIFT,
  CONTINUATION,
  EVENT,
  FROM_LAST,
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
  unzigzag,
} from './prediction';

// Tables, set by the caller: per block, from number 0 on, 12 bytes: u32 first slot, u16 slots, u16 instructions, u16 flags, u16 unused.
export let decBlocks: usize = 0;
export let decBlockCount: u32 = 0;
export let decSlotCount: u32 = 0;
export let decSuccessors: usize = 0;
export let decLastSuccessors: usize = 0;
export let decRepCounts: usize = 0;
export let decHot: usize = 0;
export let decCold: usize = 0;

// The four columns: where to read next, and end.
export let decSequence: usize = 0;
export let decSequenceEnd: usize = 0;
export let decAddresses: usize = 0;
export let decAddressesEnd: usize = 0;
export let decEvents: usize = 0;
export let decEventsEnd: usize = 0;
export let decCounts: usize = 0;
export let decCountsEnd: usize = 0;

// The raw columns: where to write next, and end (declared by the chunk's header).
export let decEventOut: usize = 0;
export let decEventOutEnd: usize = 0;
export let decAddressOut: usize = 0;
export let decAddressOutEnd: usize = 0;
export let decExtraOut: usize = 0;
export let decExtraOutEnd: usize = 0;

export let decExecutions: u32 = 0; // block executions still to come
export let decEventsLeft: u32 = 0; // events still to come
export let decInstructions: u32 = 0;
export let decKernelInstructions: u32 = 0;
export let decLocalCount: u32 = 0; // blocks met so far

const FLAG_KERNEL: u32 = 1;
const FLAG_REP: u32 = 2;
const BLOCK_BYTES: usize = 12;

const DONE: i32 = 0;
const SHORT_COLUMN: i32 = 1;
const BAD_BLOCK: i32 = 2;
const TOO_MANY_ADDRESSES: i32 = 3;
const TOO_MANY_EXTRAS: i32 = 4;
const BAD_EVENT: i32 = 5;
const LEFT_OVER: i32 = 6;

let history: u32 = 0;
let previous: u32 = 0;
let hits: u32 = 0;
let addressHits: u32 = 0;
let neighbour: u32 = 0;
let lastFrame: u32 = 0;
let lastSplit: u32 = 0;
let failed: i32 = 0;

// The event that comes next: blocks until then, its kind, its payload, slots present if it is a partial.
let distance: u32 = 0;
let eventKind: u32 = 0;
let eventPayload: u32 = 0;
let eventSlots: u32 = 0;

const NO_EVENT: u32 = 0xffffffff;
const ALL_SLOTS: u32 = 0xffffffff;
/** Blocks of one call of the inner loop: lets V8 go on with the optimised code as soon as it has it. */
const RUN_BLOCKS: u32 = 1 << 14;

/** Reads a varint of at most 5 bytes; the value is in `read`. Returns the next position; past `end` or 5 bytes it sets `failed`. */
let read: u64 = 0;
// @ts-ignore: decorator
@inline
function getVarint(at: usize, end: usize): usize {
  if (at < end) {
    const byte = <u64>load<u8>(at);
    if (byte < 0x80) {
      read = byte;
      return at + 1;
    }
  }
  return getLongVarint(at, end);
}

function getLongVarint(at: usize, end: usize): usize {
  let value: u64 = 0;
  for (let shift: u64 = 0; shift < 35 && at < end; shift += 7) {
    const byte = <u64>load<u8>(at++);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      read = value;
      return at;
    }
  }
  failed = SHORT_COLUMN;
  read = 0;
  return end;
}

function sequenceVarint(): u32 {
  decSequence = getVarint(decSequence, decSequenceEnd);
  return <u32>read;
}

function addressVarint(): u64 {
  decAddresses = getVarint(decAddresses, decAddressesEnd);
  return read;
}

function eventVarint(): u32 {
  decEvents = getVarint(decEvents, decEventsEnd);
  return <u32>read;
}

/** Looks at the next event without consuming its extra. */
function loadEvent(): void {
  distance = NO_EVENT;
  if (decEventsLeft == 0) return;
  decEventsLeft--;
  distance = eventVarint();
  eventKind = 0x3f;
  if (decEvents >= decEventsEnd) {
    failed = SHORT_COLUMN;
    return;
  }
  eventKind = <u32>load<u8>(decEvents++);
  eventPayload = eventKind == KIND_CONTINUATION ? 0 : eventVarint();
  eventSlots = eventKind == KIND_PARTIAL ? eventVarint() : 0;
  if (eventKind > KIND_CONTINUATION || eventPayload > PAYLOAD_MASK) failed = BAD_EVENT;
}

function putExtra(value: u32): void {
  if (decExtraOut >= decExtraOutEnd) {
    failed = TOO_MANY_EXTRAS;
    return;
  }
  store<u32>(decExtraOut, value);
  decExtraOut += 4;
}

function putEvent(event: u32): void {
  if (decEventOut >= decEventOutEnd) {
    failed = BAD_EVENT;
    return;
  }
  store<u32>(decEventOut, event);
  decEventOut += 4;
}

function takeCount(local: u32): void {
  decCounts = getVarint(decCounts, decCountsEnd);
  const place = decRepCounts + (<usize>local << 2);
  const count = load<u32>(place) + unzigzag(<u32>read);
  store<u32>(place, count);
  putExtra(count);
}

/** The block that the predictor missed: its number from 1, or 0 if there is none such. */
function missedBlock(before: u32): u32 {
  const token = sequenceVarint();
  const lastSuccessor = decLastSuccessors + (<usize>before << 1);
  let local: u32;
  if (token == TOKEN_NEW) local = ++decLocalCount;
  else if (token == TOKEN_LAST_SUCCESSOR) local = <u32>load<u16>(lastSuccessor);
  else local = token - 1;
  if (local == 0 || local > decLocalCount || local > decBlockCount) return 0;
  store<u16>(lastSuccessor, <u16>local);
  return local;
}

/** The address that the predictor missed. */
function missedAddress(hot: usize, cold: usize, near: u32): u32 {
  const token = addressVarint();
  const kind = <u32>token & 3;
  const step = unzigzag(<u32>(token >> 2));
  if (kind == FROM_LAST) return load<u32>(hot) + step;
  if (kind == FROM_NEIGHBOUR_AGAIN) return near + load<u32>(cold, 4);
  return kind == ALTERNATE ? load<u32>(cold, 8) : near + step;
}

/** Writes the addresses of `count` slots from `slot` on, whose room has been checked, one by one. */
function takeAddresses(slot: u32, count: u32): void {
  let hot = decHot + (<usize>slot << HOT_SHIFT);
  let cold = decCold + (<usize>slot << COLD_SHIFT);
  let near = neighbour;
  let run = addressHits;
  let shift = UNMOVED;
  let out = decAddressOut;
  for (const stop = out + (<usize>count << 2); out < stop; out += 4) {
    let address: u32;
    if (run > 0) {
      run--;
      address = predict(hot, cold, shift);
    } else {
      address = missedAddress(hot, cold, near);
      run = <u32>addressVarint();
    }
    shift = learn(hot, cold, address, near, shift);
    store<u32>(out, address);
    near = address;
    hot += 1 << HOT_SHIFT;
    cold += 1 << COLD_SHIFT;
  }
  decAddressOut = out;
  addressHits = run;
  neighbour = near;
}

/** The event that `distance` counted down to. */
function takeEvent(): void {
  const entry = decBlocks + <usize>(previous - 1) * BLOCK_BYTES;
  if (eventKind == KIND_CONTINUATION) {
    if (previous == 0 || !(<u32>load<u16>(entry, 8) & FLAG_REP)) {
      failed = BAD_EVENT;
      return;
    }
    const slots = <u32>load<u16>(entry, 4);
    if (decAddressOut + (<usize>slots << 2) > decAddressOutEnd) {
      failed = TOO_MANY_ADDRESSES;
      return;
    }
    putEvent(CONTINUATION | (previous - 1));
    takeAddresses(load<u32>(entry), slots);
    takeCount(previous);
    return;
  }
  if (eventKind == KIND_PARTIAL) {
    if (previous == 0 || eventPayload > <u32>load<u16>(entry, 6)) {
      failed = BAD_EVENT;
      return;
    }
    const missing = <u32>load<u16>(entry, 6) - eventPayload;
    decInstructions -= missing;
    if (<u32>load<u16>(entry, 8) & FLAG_KERNEL) decKernelInstructions -= missing;
  }
  putEvent(EVENT | (eventKind << 24) | eventPayload);
  if (eventKind == KIND_INTERRUPT || eventKind == KIND_EXCEPTION) {
    lastFrame += unzigzag(eventVarint());
    putExtra(lastFrame);
  } else if (eventKind == KIND_SPLIT) {
    lastSplit += unzigzag(eventVarint());
    putExtra(lastSplit);
  }
}

/**
 * Executes `count` blocks that no event follows, but for the last one. `present`: slots of a block that retired in part, else ALL_SLOTS.
 * What changes with every block is kept in locals.
 */
function takeBlocks(count: u32, present: u32): void {
  const successors = decSuccessors;
  const blocks = decBlocks;
  const hotSlots = decHot;
  const addressesEnd = decAddressOutEnd;
  const eventStop = decEventOut + (<usize>count << 2);
  if (eventStop > decEventOutEnd) {
    failed = BAD_EVENT;
    return;
  }
  let run = hits;
  let addressRun = addressHits;
  let context = history;
  let before = previous;
  let out = decAddressOut;
  let instructions: u32 = 0;
  let kernelInstructions: u32 = 0;
  for (let eventOut = decEventOut; eventOut < eventStop; eventOut += 4) {
    const predicted = successors + (<usize>context << 1);
    let local = <u32>load<u16>(predicted);
    if (run > 0) {
      run--;
    } else {
      local = missedBlock(before);
      run = sequenceVarint();
      store<u16>(predicted, <u16>local);
    }
    if (local == 0) {
      if (failed == DONE) failed = BAD_BLOCK;
      return;
    }
    context = nextHistory(context, local);
    before = local;
    store<u32>(eventOut, local - 1);
    const entry = blocks + <usize>(local - 1) * BLOCK_BYTES;
    const sizes = load<u32>(entry, 4);
    const flags = load<u32>(entry, 8);
    const retired = sizes >> 16;
    instructions += retired;
    kernelInstructions += retired & (0 - (flags & FLAG_KERNEL));
    let slots = sizes & 0xffff;
    if (present != ALL_SLOTS && !(flags & FLAG_REP)) {
      if (present > slots) {
        failed = BAD_EVENT;
        return;
      }
      slots = present;
    }
    const outStop = out + (<usize>slots << 2);
    if (outStop > addressesEnd) {
      failed = TOO_MANY_ADDRESSES;
      return;
    }
    const slot = load<u32>(entry);
    if (addressRun >= slots) {
      addressRun -= slots;
      for (let hot = hotSlots + (<usize>slot << HOT_SHIFT); out < outStop; out += 4, hot += 1 << HOT_SHIFT) {
        const address = load<u32>(hot) + load<u32>(hot, 4);
        store<u32>(hot, address);
        store<u32>(out, address);
      }
    } else {
      settleAddresses(out, addressRun);
      takeAddresses(slot, slots);
      out = outStop;
      addressRun = addressHits;
    }
    if (flags & FLAG_REP) takeCount(local);
  }
  settleAddresses(out, addressRun);
  decEventOut = eventStop;
  hits = run;
  history = context;
  previous = before;
  decInstructions += instructions;
  decKernelInstructions += kernelInstructions;
}

/** All addresses before `to` are written, and `run` more are as predicted. */
function settleAddresses(to: usize, run: u32): void {
  if (to != decAddressOut) neighbour = load<u32>(to - 4);
  decAddressOut = to;
  addressHits = run;
}

function begin(): void {
  memory.fill(decSuccessors, 0, 1 << 16);
  memory.fill(decLastSuccessors, 0, (<usize>decBlockCount + 1) << 1);
  memory.fill(decRepCounts, 0, (<usize>decBlockCount + 1) << 2);
  memory.fill(decHot, 0, <usize>decSlotCount << HOT_SHIFT);
  memory.fill(decCold, 0, <usize>decSlotCount << COLD_SHIFT);
  history = previous = neighbour = lastFrame = lastSplit = 0;
  decInstructions = decKernelInstructions = decLocalCount = 0;
  failed = DONE;
  hits = sequenceVarint();
  addressHits = <u32>addressVarint();
  loadEvent();
}

function takeDueEvents(): void {
  while (distance == 0 && failed == DONE) {
    takeEvent();
    loadEvent();
  }
}

/** Decodes the whole chunk. 0: good, and every column is used up; otherwise what is wrong. */
export function decDecode(): i32 {
  begin();
  takeDueEvents();
  while (decExecutions > 0 && failed == DONE) {
    const quiet = min(min(decExecutions, distance - 1), RUN_BLOCKS);
    const partial = quiet == 0 && eventKind == KIND_PARTIAL;
    const count = max(quiet, 1);
    takeBlocks(count, partial ? eventSlots : ALL_SLOTS);
    decExecutions -= count;
    if (distance == NO_EVENT) continue;
    distance -= count;
    takeDueEvents();
  }
  if (failed != DONE) return failed;
  const consumed = decSequence == decSequenceEnd && decAddresses == decAddressesEnd && decEvents == decEventsEnd && decCounts == decCountsEnd;
  const produced = decEventOut == decEventOutEnd && decAddressOut == decAddressOutEnd && decExtraOut == decExtraOutEnd;
  const quiet = hits == 0 && addressHits == 0 && distance == NO_EVENT && decLocalCount == decBlockCount;
  return consumed && produced && quiet ? DONE : LEFT_OVER;
}
