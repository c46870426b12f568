/**
 * The hot loop of the analysis: runs the columns of docs/adr/002 through caches and branch predictor and counts per block.
 * The caller lays out the memory (layout.ts), interns the chunk's blocks, and turns the counts into statistics.
 */
import {
  add, drain, fetch, firstEnd, firstFull, keepRoom, l1dWays, lineShift, reference, setQueueEnd,
} from './caches';
import {
  CALL,
  COLD,
  CORRUPT,
  DIRTY,
  DONE,
  END,
  EXECUTIONS,
  EXTRA_READS,
  EXTRA_WRITES,
  FALL,
  FAULTING_LINES,
  INDIRECT_CALL,
  INSTRUCTIONS,
  KIND_SHIFT,
  L1I_REFERENCES,
  LINE,
  LINES_IN_FIRST_PAGE,
  LINES_MASK,
  MARKER,
  PARTIALS,
  PARTIAL_BYTES,
  PARTIAL_EXECUTIONS,
  PARTIAL_LINES,
  PARTIAL_ROW_BYTES,
  PARTIAL_SLOTS,
  READ,
  REPEATED,
  REP_ITERATIONS,
  SECOND_PAGE_LINE,
  SHAPE,
  SLOTS,
  SLOTS_MASK,
  SLOTS_SHIFT,
  SLOW,
  START,
  THUNK,
  THUNK_ENTRIES,
  TRANSFER,
  WRITE,
} from './layout';
import { arrive, arriveInHandler } from './predictor';

export * from './layout';
export { configureCaches, QUEUE_BYTES } from './caches';
export { configurePredictor, history, returnCount, returnTop, setPredictorState } from './predictor';

const PAGE_BYTES: u32 = 4096;

// Events (ADR 002)
const BLOCK: u32 = 0;
const CONTINUATION: u32 = 1;
const EVENT: u32 = 2;
const PARTIAL: u32 = 0;
const INTERRUPT: u32 = 1;
const EXCEPTION: u32 = 2;
const MARKER_EVENT: u32 = 3;
const PATCH: u32 = 4;
const SPLIT: u32 = 5;
const EXIT: u32 = 6;
const TRAP: u32 = 7;
// Kinds of traps that enter a handler of the guest (docs/adr/007): exception, system call, upcall
const TRAP_EXCEPTION: u32 = 5;
const TRAP_UPCALL: u32 = 7;
const BACKWARD: u32 = 0x80000000;

/** What the CPU pushes when it delivers: words without an error code, and their width. */
let frameWords: u32 = 5;
let frameWordBytes: u32 = 8;
let cpuCold: usize = 0;
let eventCounts: usize = 0;

/** Where the columns are, and how far they are consumed. */
export let eventCursor: usize = 0;
export let addressCursor: usize = 0;
export let extraCursor: usize = 0;
let eventsEnd: usize = 0;
let addressesEnd: usize = 0;
let extrasEnd: usize = 0;
let blockOfId: usize = 0;
let blockCount: u32 = 0;

/** The block that ran last, how control leaves it and the address after it; the last line fetched. */
export let previous: usize = 0;
export let pendingKind: u32 = TRANSFER;
export let pendingEnd: u32 = 0;
export let lastLine: u32 = 0xffffffff;
/** Iterations of rep string instructions since `setColumns`. */
export let iterationsSeen: u32 = 0;
/** The code of the marker at which `run` stopped. */
export let markerCode: u32 = 0;

/** `cpu` is the cold record that the CPU's own references are counted in. */
export function configureFrames(words: u32, wordBytes: u32, cpu: usize, events: usize): void {
  frameWords = words;
  frameWordBytes = wordBytes;
  cpuCold = cpu;
  eventCounts = events;
}

export function setPosition(block: usize, kind: u32, end: u32, line: u32): void {
  previous = block;
  pendingKind = kind;
  pendingEnd = end;
  lastLine = line;
}

/** The columns of a chunk, and per block id of the chunk a pointer to its hot record. */
export function setColumns(
  events: usize,
  eventLimit: usize,
  addresses: usize,
  addressLimit: usize,
  extras: usize,
  extraLimit: usize,
  blocks: usize,
  count: u32,
): void {
  eventCursor = events;
  eventsEnd = eventLimit;
  addressCursor = addresses;
  addressesEnd = addressLimit;
  extraCursor = extras;
  extrasEnd = extraLimit;
  blockOfId = blocks;
  blockCount = count;
  iterationsSeen = 0;
}

/** Runs to the end of the columns (DONE), or to behind the next marker (MARKER), or to what cannot be (CORRUPT). */
export function run(): i32 {
  let event = eventCursor;
  let address = addressCursor;
  let prev = previous;
  let kind = pendingKind;
  let end = pendingEnd;
  let last = lastLine;
  const limit = eventsEnd;
  const addressLimit = addressesEnd;
  const map = blockOfId;
  const count = blockCount;
  const shift = lineShift;
  const lineBytes: u32 = 1 << shift;
  const offsetMask = lineBytes - 1;
  const full = firstFull;
  let queue = firstEnd;

  while (event < limit) {
    const word = load<u32>(event);
    const following: u32 = event + 4 < limit ? load<u32>(event, 4) : 0;
    if (word < count) {
      const block: usize = load<u32>(map + (word << 2));
      const shape = load<u32>(block, SHAPE);
      const slots: usize = (shape >>> SLOTS_SHIFT) & SLOTS_MASK;
      if (((following | shape) & SLOW) == 0 && address + (slots << 2) <= addressLimit) {
        if (queue >= full) {
          setQueueEnd(queue);
          drain();
          queue = firstEnd;
        }
        const start = load<u32>(block, START);
        const taken = arrive(kind, prev, end, start);
        const cold: usize = load<u32>(block, COLD);
        let line = load<u32>(block, LINE);
        let references = <u32>(taken || line != last);
        queue = fetch(queue, line, cold);
        last = line + (shape & LINES_MASK) - 1;
        while (line < last) {
          queue = fetch(queue, ++line, cold);
          references++;
        }
        store<u32>(block, load<u32>(block, EXECUTIONS) + 1, EXECUTIONS);
        store<u32>(block, load<u32>(block, L1I_REFERENCES) + references, L1I_REFERENCES);

        let slot: usize = load<u32>(block, SLOTS);
        const slotsEnd = slot + (slots << 1);
        for (; slot < slotsEnd; slot += 2, address += 4) {
          const at = load<u32>(address);
          const use = <u32>load<u16>(slot);
          if ((at & offsetMask) + (use >>> 2) > lineBytes) {
            setQueueEnd(queue);
            touch(at, use >>> 2, use, cold);
            queue = firstEnd;
          } else queue = reference(queue, at >>> shift, (use & WRITE) << 30, cold);
        }
        prev = block;
        kind = (shape >>> KIND_SHIFT) & 0xf;
        end = load<u32>(block, END);
        event += 4;
        continue;
      }
    }
    eventCursor = event;
    addressCursor = address;
    setPosition(prev, kind, end, last);
    setQueueEnd(queue);
    const status = step(word);
    if (status != DONE) drain();
    queue = firstEnd;
    event = eventCursor;
    address = addressCursor;
    prev = previous;
    kind = pendingKind;
    end = pendingEnd;
    last = lastLine;
    if (status != DONE) return status;
  }
  eventCursor = event;
  addressCursor = address;
  setPosition(prev, kind, end, last);
  setQueueEnd(queue);
  drain();
  return DONE;
}

/** Whatever the loop does not do itself: qualified, repeated and page-crossing blocks, and events. */
function step(word: u32): i32 {
  eventCursor += 4;
  const form = word >>> 30;
  if (form == EVENT) return deliver((word >>> 24) & 0x3f, word & 0xffffff);
  const id = word & 0xffffff;
  if (id >= blockCount) return CORRUPT;
  const block: usize = load<u32>(blockOfId + (id << 2));
  if (form == BLOCK) return execute(block);
  const continues = form == CONTINUATION && previous == block && (load<u32>(block, SHAPE) & REPEATED) == REPEATED;
  return continues ? continueRun(block) : CORRUPT;
}

/** A rep string instruction that faults in a later run was counted as retired with its first one. */
function continueRun(block: usize): i32 {
  const splits = readQualifiers();
  if (partial == 0) {
    store<u32>(block, load<u32>(block, EXECUTIONS) - 1, EXECUTIONS);
    add(load<u32>(load<u32>(block, COLD), PARTIALS), PARTIAL_EXECUTIONS, 1);
    pendingKind = FALL;
    pendingEnd = load<u32>(block, START);
  }
  return repeat(block, splits);
}

/** The qualifiers of the block event just before `eventCursor`. */
let partial: u32 = 0;
const COMPLETE: u32 = 0xffffffff;
let faulted: bool = false;
let firstQualifier: usize = 0;

/** Consumes partial and split events; returns the number of splits. */
function readQualifiers(): u32 {
  let splits: u32 = 0;
  partial = COMPLETE;
  firstQualifier = eventCursor;
  for (; eventCursor < eventsEnd; eventCursor += 4) {
    const word = load<u32>(eventCursor);
    const kind = word >>> 24;
    if (kind == (0x80 | PARTIAL)) partial = word & 0xffffff;
    else if (kind == (0x80 | SPLIT)) splits++;
    else break;
  }
  faulted = eventCursor < eventsEnd && isFault(load<u32>(eventCursor));
  return splits;
}

function isFault(word: u32): bool {
  return word >>> 24 == (0x80 | EXCEPTION) || word == (EVENT << 30 | TRAP << 24 | TRAP_EXCEPTION);
}

function execute(block: usize): i32 {
  const splits = readQualifiers();
  const shape = load<u32>(block, SHAPE);
  const cold: usize = load<u32>(block, COLD);
  const complete = partial == COMPLETE;
  if (!complete && partial > load<u32>(cold, INSTRUCTIONS)) return CORRUPT;
  const start = load<u32>(block, START);
  const isThunk = (shape & THUNK) == THUNK;
  if (isThunk && previous && (pendingKind == CALL || pendingKind == INDIRECT_CALL)) {
    add(load<u32>(previous, COLD), THUNK_ENTRIES, 1);
  }
  const taken = arrive(pendingKind, previous, pendingEnd, start);
  const row: usize = complete ? 0 : <usize>load<u32>(cold, PARTIALS) + <usize>partial * PARTIAL_ROW_BYTES;
  fetchLines(block, cold, complete ? shape & LINES_MASK : faulted ? load<u8>(row, FAULTING_LINES) : load<u8>(row, PARTIAL_LINES), taken);
  if (complete) add(block, EXECUTIONS, 1);
  else add(row, PARTIAL_EXECUTIONS, 1);
  previous = block;
  pendingKind = complete ? (shape >>> KIND_SHIFT) & 0xf : FALL;
  pendingEnd = complete ? load<u32>(block, END) : start + load<u16>(row, PARTIAL_BYTES);
  if ((shape & REPEATED) == REPEATED) return repeat(block, splits);
  return referenceSlots(block, cold, complete ? (shape >>> SLOTS_SHIFT) & SLOTS_MASK : load<u16>(row, PARTIAL_SLOTS), splits);
}

function fetchLines(block: usize, cold: usize, lines: u32, taken: bool): void {
  const first = load<u32>(block, LINE);
  const inFirstPage = load<u32>(cold, LINES_IN_FIRST_PAGE);
  const second = load<u32>(cold, SECOND_PAGE_LINE);
  keepRoom();
  let references = load<u32>(block, L1I_REFERENCES);
  for (let i: u32 = 0; i < lines; i++) {
    const line = i < inFirstPage ? first + i : second + (i - inFirstPage);
    if (line == lastLine && !(taken && i == 0)) continue;
    setQueueEnd(fetch(firstEnd, line, cold));
    references++;
    lastLine = line;
  }
  store<u32>(block, references, L1I_REFERENCES);
}

/** The second address of the split of `slot`, or `none`; splits stand in the order of their extras. */
function splitOf(slot: u32, splits: u32, none: u32): u32 {
  let extra = extraCursor;
  for (let event = firstQualifier; splits; event += 4) {
    const word = load<u32>(event);
    if (word >>> 24 != (0x80 | SPLIT)) continue;
    if ((word & 0xffffff) == slot) return load<u32>(extra);
    extra += 4;
    splits--;
  }
  return none;
}

const NO_SPLIT: u32 = 0xffffffff;

function referenceSlots(block: usize, cold: usize, slots: u32, splits: u32): i32 {
  if (addressCursor + (slots << 2) > addressesEnd || extraCursor + (splits << 2) > extrasEnd) return CORRUPT;
  const list: usize = load<u32>(block, SLOTS);
  for (let i: u32 = 0; i < slots; i++) {
    const use = <u32>load<u16>(list + (i << 1));
    touchSplit(load<u32>(addressCursor), use >>> 2, use, splitOf(i, splits, NO_SPLIT), cold);
    addressCursor += 4;
  }
  extraCursor += splits << 2;
  return DONE;
}

/** One element, perhaps continued at the start of another page. */
function touchSplit(at: u32, width: u32, use: u32, second: u32, cold: usize): void {
  const inPage = PAGE_BYTES - (at & (PAGE_BYTES - 1));
  if (second == NO_SPLIT || inPage >= width) {
    touch(at, width, use, cold);
    return;
  }
  touch(at, inPage, use, cold);
  touch(second, width - inPage, use, cold);
  count(use, 1, cold);
}

/** One element that may touch several lines: a reference for each, those beyond the first counted here. */
function touch(at: u32, width: u32, use: u32, cold: usize): void {
  keepRoom();
  const first = at >>> lineShift;
  const end = (at + max<u32>(width, 1) - 1) >>> lineShift;
  setQueueEnd(reference(firstEnd, first, (use & WRITE) << 30, cold));
  for (let line = first; line != end; ) {
    setQueueEnd(reference(firstEnd, ++line & (0xffffffff >>> lineShift), (use & WRITE) << 30, cold));
    count(use, 1, cold);
  }
}

// @ts-ignore: decorator
@inline
function count(use: u32, references: u32, cold: usize): void {
  if (use & READ) store<u32>(cold, load<u32>(cold, EXTRA_READS) + references, EXTRA_READS);
  if (use & WRITE) store<u32>(cold, load<u32>(cold, EXTRA_WRITES) + references, EXTRA_WRITES);
}

/** A run of a rep string instruction: every slot advances by the element's width, all in one page unless split. */
function repeat(block: usize, splits: u32): i32 {
  const cold: usize = load<u32>(block, COLD);
  const slots = (load<u32>(block, SHAPE) >>> SLOTS_SHIFT) & SLOTS_MASK;
  if (addressCursor + (slots << 2) > addressesEnd || extraCursor + 4 + (splits << 2) > extrasEnd) return CORRUPT;
  const word = load<u32>(extraCursor);
  const backward = (word & BACKWARD) != 0;
  const iterations = word & ~BACKWARD;
  if (iterations > PAGE_BYTES) return CORRUPT;
  extraCursor += 4;
  iterationsSeen += iterations;
  store<u32>(cold, load<u32>(cold, REP_ITERATIONS) + iterations, REP_ITERATIONS);
  runElements(block, cold, slots, splits ? iterations - 1 : iterations, backward);
  if (splits && iterations) lastElement(block, cold, slots, iterations - 1, backward, splits);
  addressCursor += slots << 2;
  extraCursor += splits << 2;
  return DONE;
}

/** Elements in the order of execution; those that stay in the lines of the element before are hits that change nothing. */
function runElements(block: usize, cold: usize, slots: u32, elements: u32, backward: bool): void {
  const list: usize = load<u32>(block, SLOTS);
  for (let done: u32 = 0; done < elements; ) {
    keepRoom();
    let together = l1dWays < slots ? 1 : elements - done;
    for (let i: u32 = 0; i < slots; i++) {
      const width = <u32>load<u16>(list + (i << 1)) >>> 2;
      together = min<u32>(together, elementsInLine(elementAt(i, width, done, backward), width, backward));
    }
    for (let i: u32 = 0; i < slots; i++) {
      const use = <u32>load<u16>(list + (i << 1));
      const at = elementAt(i, use >>> 2, done, backward);
      if (together > 1) setQueueEnd(reference(firstEnd, at >>> lineShift, (use & WRITE) << 30, cold));
      else touch(at, use >>> 2, use, cold);
      count(use, together, cold);
    }
    done += together;
  }
}

// @ts-ignore: decorator
@inline
function elementAt(slot: u32, width: u32, element: u32, backward: bool): u32 {
  const first = load<u32>(addressCursor + (slot << 2));
  return backward ? first - element * width : first + element * width;
}

/** How many elements from `at` on lie whole in its line; 1 when the first one does not. Widths are powers of two. */
function elementsInLine(at: u32, width: u32, backward: bool): u32 {
  const lineBytes: u32 = 1 << lineShift;
  const offset = at & (lineBytes - 1);
  if (offset + width > lineBytes) return 1;
  return ((backward ? offset : lineBytes - offset - width) >>> ctz(width)) + 1;
}

function lastElement(block: usize, cold: usize, slots: u32, element: u32, backward: bool, splits: u32): void {
  const list: usize = load<u32>(block, SLOTS);
  for (let i: u32 = 0; i < slots; i++) {
    const use = <u32>load<u16>(list + (i << 1));
    touchSplit(elementAt(i, use >>> 2, element, backward), use >>> 2, use, splitOf(i, splits, NO_SPLIT), cold);
    count(use, 1, cold);
  }
}

function deliver(kind: u32, payload: u32): i32 {
  if (kind == INTERRUPT || kind == EXCEPTION) return enterHandler(kind, payload & 0xff);
  if (kind == MARKER_EVENT) {
    markerCode = payload;
    return MARKER;
  }
  if (kind == TRAP) {
    add(eventCounts, (512 + min<u32>(payload, 255)) << 2, 1);
    if (payload >= TRAP_EXCEPTION && payload <= TRAP_UPCALL) leaveForHandler();
  }
  return kind == PATCH || kind == EXIT || kind == TRAP ? DONE : CORRUPT;
}

/** Exceptions that push an error code: 8, 10-14, 17 (Intel SDM vol. 3, 6.13). */
const WITH_ERROR_CODE: u32 = 0x27d00;

function enterHandler(kind: u32, vector: u32): i32 {
  if (extraCursor + 4 > extrasEnd) return CORRUPT;
  const frame = load<u32>(extraCursor);
  extraCursor += 4;
  add(eventCounts, (kind == EXCEPTION ? 256 + vector : vector) << 2, 1);
  const withCode = kind == EXCEPTION && vector < 32 && (WITH_ERROR_CODE >>> vector) & 1;
  const words = frameWords + <u32>withCode;
  for (let i: u32 = 1; i <= words; i++) touch(frame - i * frameWordBytes, frameWordBytes, WRITE, cpuCold);
  count(WRITE, words, cpuCold);
  leaveForHandler();
  return DONE;
}

function leaveForHandler(): void {
  arriveInHandler(pendingKind, previous, pendingEnd);
  pendingKind = TRANSFER;
}
