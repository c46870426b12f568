// The predictors of docs/trace-format.md, shared by encoder and decoder. Positions in memory are given by the caller.

/** Bits 31..30 and 29..24 of a raw event (ADR 002). */
export const EVENT: u32 = 0x80000000;
export const CONTINUATION: u32 = 0x40000000;
export const PAYLOAD_MASK: u32 = 0x00ffffff;

export const KIND_PARTIAL: u32 = 0;
export const KIND_INTERRUPT: u32 = 1;
export const KIND_EXCEPTION: u32 = 2;
export const KIND_SPLIT: u32 = 5;
export const KIND_CONTINUATION: u32 = 8;

export const HISTORY_MASK: u32 = 0x7fff;

/** Miss tokens of the sequence column; a block by number is its local number (1-based) + 1. */
export const TOKEN_NEW: u32 = 0;
export const TOKEN_LAST_SUCCESSOR: u32 = 1;

/** Miss kinds of the address column: the two low bits of a token. */
export const FROM_LAST: u32 = 0;
export const FROM_NEIGHBOUR_AGAIN: u32 = 1;
export const ALTERNATE: u32 = 2;
export const FROM_NEIGHBOUR: u32 = 3;

/** History of the last three blocks, 15 bits. */
// @ts-ignore: decorator
@inline
export function nextHistory(history: u32, local: u32): u32 {
  return ((history << 5) ^ ((local * 0x9e3779b1) >> 17)) & HISTORY_MASK;
}

// What is known of a reference slot. Hot: last address, stride. Cold, needed by a miss only: step of the last miss, step from the
// neighbour then, the address before, whether it follows a shift.
export const HOT_SHIFT: u32 = 3;
export const COLD_SHIFT: u32 = 4;

/** No slot of this block has moved yet. Anything else is the step, modulo 2^32, by which the last slot that moved did. */
export const UNMOVED: u64 = 1 << 32;

// @ts-ignore: decorator
@inline
export function predict(hot: usize, cold: usize, shift: u64): u32 {
  const follows = shift != UNMOVED && load<u32>(cold, 12) != 0;
  return load<u32>(hot) + (follows ? <u32>shift : load<u32>(hot, 4));
}

/** Learns from an address; `near` is the one before it. Returns the shift that the next slot of the block sees. */
export function learn(hot: usize, cold: usize, address: u32, near: u32, shift: u64): u64 {
  const before = load<u32>(hot);
  const step = address - before;
  const own = step == load<u32>(hot, 4);
  const followed = shift == <u64>step;
  if (shift != UNMOVED && own != followed) store<u32>(cold, <u32>followed, 12);
  store<u32>(hot, address);
  if (own) return shift;
  if (step == load<u32>(cold)) store<u32>(hot, step, 4);
  store<u32>(cold, step);
  store<u32>(cold, address - near, 4);
  store<u32>(cold, before, 8);
  return step;
}

// @ts-ignore: decorator
@inline
export function zigzag(value: u32): u32 {
  return (value << 1) ^ <u32>(<i32>value >> 31);
}

// @ts-ignore: decorator
@inline
export function unzigzag(value: u32): u32 {
  return (value >> 1) ^ (0 - (value & 1));
}
