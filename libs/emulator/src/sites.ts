import type { Insn } from './decode.js';

/** A block as the raw trace names it (ADR 002). `rawId` indexes `Machine.blocks`. */
export interface RawBlock {
  readonly rawId: number;
  /** Guest-virtual address of the first byte. */
  readonly virt: bigint;
  /** Guest-physical address of the first byte. */
  readonly phys: number;
  /** Guest-physical address of the page that the last instruction crosses into, else 0. */
  readonly physNextPage: number;
  readonly user: boolean;
  readonly bits: 32 | 64;
  readonly bytes: Uint8Array;
  readonly instructions: number;
  readonly slots: number;
}

/** Flags at a site: in the state area already, in locals of a kind known only at run time, or of this `flagKind`. */
export const FLAGS_IN_MEMORY = -1;
export const FLAGS_DYNAMIC = -2;

/** A place in generated code that can leave or call a helper: all that JavaScript must know about it. */
export interface Site {
  readonly block: RawBlock;
  readonly instruction: Insn;
  readonly user: boolean;
  readonly flagKind: number;
  /** The first access that needs the check, relative to the checked range's first byte. */
  readonly firstOffset: number;
  readonly firstBytes: number;
  readonly firstWrites: boolean;
  /** Bytes of the range that one check covers. */
  readonly rangeBytes: number;
  /** Some access of the range writes. */
  readonly rangeWrites: boolean;
  /** Index of the reference slot that the (first) access fills. */
  readonly slot: number;
}
