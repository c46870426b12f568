/**
 * When a chunk ends (docs/trace-format.md, "Where a chunk ends"): at the first block boundary at which one of these is reached.
 * `bytes` counts what the four columns hold so far, and 24 + its length for each block of the dictionary.
 */
export interface ChunkLimits {
  readonly instructions: number;
  readonly bytes: number;
  /** Reference slots of the dictionary's blocks: bounds the predictors. */
  readonly slots: number;
  /** Bounds what a decoder writes. */
  readonly addresses: number;
}

export const CHUNK_LIMITS: ChunkLimits = {
  instructions: 1_000_000,
  bytes: 768 * 1024,
  slots: 1 << 17,
  addresses: 1 << 21,
};

export const DICTIONARY_CHARGE_BYTES = 24;

/** A block has at most 64 instructions with at most 8 slots (pusha) each. */
export const MAX_BLOCK_SLOTS = 512;
export const MAX_BLOCK_BYTES = 64 * 15;

/** What a decoder accepts: each follows from CHUNK_LIMITS, rounded up. A chunk that declares more is refused before anything is allocated. */
export const DECODER_LIMITS = {
  bodyBytes: 2 * 1024 * 1024,
  /** 768 KiB / (24 + 1) blocks. */
  blocks: 1 << 15,
  slots: CHUNK_LIMITS.slots + MAX_BLOCK_SLOTS,
  /** Executions and events: 10⁶ instructions, blocks that retired none (≥ 3 bytes each), events (≥ 2 bytes each). */
  rawEvents: 1 << 21,
  addresses: CHUNK_LIMITS.addresses + MAX_BLOCK_SLOTS,
  extras: 1 << 21,
} as const;
