/** Appends to the raw columns what generated code does not (ADR 002). Nothing is appended while nothing is recorded. */

export let recording: bool = false;

export function setRecording(on: bool): void {
  recording = on;
}

const EVENT: u32 = 0x80000000;
const CONTINUATION: u32 = 0x40000000;
const PAYLOAD: u32 = 0x00ffffff;
export const PARTIAL: u32 = 0;
export const INTERRUPT: u32 = 1;
export const EXCEPTION: u32 = 2;

function append(pointer: usize, value: u32): void {
  const at = load<u32>(pointer);
  store<u32>(at, value);
  store<u32>(pointer, at + 4);
}

export function recordEvent(kind: u32, payload: u32): void {
  if (recording) append(STATE_EVENT_POINTER, EVENT | (kind << 24) | payload);
}

export function recordExtra(value: u32): void {
  if (recording) append(STATE_EXTRA_POINTER, value);
}

export function recordAddress(phys: u32): void {
  if (recording) append(STATE_ADDRESS_POINTER, phys);
}

/** The addresses of the first `slots` slots of the last block stand. */
export function keepAddresses(slots: u32): void {
  if (recording) store<u32>(STATE_ADDRESS_POINTER, load<u32>(STATE_ADDRESS_POINTER) + 4 * slots);
}

/** Retired instructions in a run of the event column: whole blocks, less what their partial events take back. */
export function countInstructions(from: usize, to: usize): u32 {
  let count: u32 = 0;
  let last: u32 = 0;
  for (let at = from; at < to; at += 4) {
    const word = load<u32>(at);
    if (word < CONTINUATION) {
      last = load<u8>(REGION_BLOCK_INSTRUCTIONS + word);
      count += last;
    } else if (word >> 24 == EVENT >> 24) count += (word & PAYLOAD) - last;
  }
  return count;
}

/** The extras, which generated code never checks, need emptying. */
export function extrasLow(): bool {
  return load<u32>(STATE_EXTRA_POINTER) > <u32>EXTRA_LIMIT;
}
