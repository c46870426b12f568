/** What the emulator hands over, as ADR 002 defines it. Views may be reused by their owner after the call that gets them. */
export interface RawColumns {
  readonly events: Uint32Array;
  /** Guest-physical addresses, one per present reference slot. */
  readonly addresses: Uint32Array;
  readonly extras: Uint32Array;
}

/** A block as the emulator met it. `rawId` is its index in the emulator's list. */
export interface RawBlock {
  readonly rawId: number;
  readonly virt: bigint;
  readonly phys: number;
  /** Guest-physical address of the page after the first one, 0 unless the bytes cross into it. */
  readonly physNextPage: number;
  readonly user: boolean;
  readonly bits: 32 | 64;
  readonly bytes: Uint8Array;
  readonly instructions: number;
  readonly slots: number;
}

/*
 * A raw event, u32:
 *   31 30 | 29 … 24 | 23 … 0
 *    0  0 |    0    | block id          block executed
 *    0  1 |    0    | block id          rep continuation
 *    1  0 |  kind   | payload           event
 */
export const CONTINUATION_BIT = 0x40000000;
export const EVENT_BIT = 0x80000000;
export const PAYLOAD_MASK = 0x00ffffff;

export const EVENT_KINDS = {
  partial: 0,
  interrupt: 1,
  exception: 2,
  marker: 3,
  patch: 4,
  split: 5,
  exit: 6,
  trap: 7,
} as const;

/** Event kind of a rep continuation inside a chunk; in raw columns it has a type of its own. */
export const CONTINUATION_KIND = 8;

const WITH_EXTRA = new Set<number>([EVENT_KINDS.interrupt, EVENT_KINDS.exception, EVENT_KINDS.split]);

/** Whether an event of this kind consumes a value of `extras`. */
export const hasExtra = (kind: number): boolean => WITH_EXTRA.has(kind);

export const kindOf = (event: number): number => (event >>> 24) & 0x3f;
export const payloadOf = (event: number): number => event & PAYLOAD_MASK;
export const isBlockEvent = (event: number): boolean => event < CONTINUATION_BIT;
/** Whether the value is an event proper: no block, no rep continuation. */
export const isEvent = (event: number): boolean => event >= EVENT_BIT;
export const eventOf = (kind: number, payload: number): number => (EVENT_BIT | (kind << 24) | payload) >>> 0;
