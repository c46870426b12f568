import { Decoder, DecoderError, DecoderOptions, Instruction } from 'iced-x86';
import { type BlockEndKind, endKindOf, hasDirectTarget, isRepString } from './block-end.js';
import { type InstructionShape, shapeOf } from './instruction-shape.js';
import { type ReferenceSlot, slotsOf } from './slots.js';

export const PAGE_BYTES = 4096;
export const MAX_BLOCK_INSTRUCTIONS = 64;

export interface BlockEnd {
  readonly kind: BlockEndKind;
  /** Where a direct jump, branch or call goes. */
  readonly target: bigint | undefined;
}

/** What a block is, as ADR 002 defines it: independent of the translator. */
export interface BlockShape {
  readonly bits: 32 | 64;
  readonly byteLength: number;
  /** False when the given bytes stop before the block does; what is described is the whole instructions they hold. */
  readonly complete: boolean;
  readonly instructions: readonly InstructionShape[];
  /** In the order of execution: one recorded address each. */
  readonly slots: readonly ReferenceSlot[];
  readonly end: BlockEnd;
}

// iced objects live in wasm memory and are never collected, so one is reused.
const instruction = new Instruction();

const limitEnd = (nextVirt: bigint, pageEnd: bigint, count: number): BlockEndKind | undefined => {
  if (nextVirt >= pageEnd) return 'page';
  return count === MAX_BLOCK_INSTRUCTIONS ? 'size' : undefined;
};

interface Scan {
  readonly instructions: InstructionShape[];
  readonly slots: ReferenceSlot[];
  byteLength: number;
  end: BlockEnd;
}

const scan = (decoder: Decoder, virt: bigint, bits: 32 | 64): Scan => {
  const found: Scan = { instructions: [], slots: [], byteLength: 0, end: { kind: 'bytes', target: undefined } };
  const pageEnd = (virt | BigInt(PAGE_BYTES - 1)) + 1n;
  while (decoder.canDecode) {
    decoder.decodeOut(instruction);
    if (decoder.lastError === DecoderError.NoMoreBytes) break;
    if (found.instructions.length > 0 && isRepString(instruction)) {
      found.end = { kind: 'before-rep', target: undefined };
      break;
    }
    const shape = shapeOf(instruction, found.byteLength);
    found.slots.push(...slotsOf(instruction, found.instructions.length, bits));
    found.instructions.push(shape);
    found.byteLength += shape.length;
    const kind =
      endKindOf(instruction) ?? limitEnd(virt + BigInt(found.byteLength), pageEnd, found.instructions.length);
    if (kind !== undefined) {
      found.end = { kind, target: hasDirectTarget(instruction) ? instruction.nearBranchTarget : undefined };
      break;
    }
  }
  return found;
};

/**
 * Finds the block that begins at the first byte: its instructions, its reference slots and how it ends (ADR 002).
 *
 * `bytes` is a window that may be longer than the block; `virt` is the address of its first byte. A window that ends inside the
 * block gives `complete: false` and the end kind `bytes`. Bytes that are no instruction end the block with kind `undefined`.
 */
export const describeBlock = (bytes: Uint8Array, virt: bigint, bits: 32 | 64): BlockShape => {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  try {
    decoder.ip = virt;
    const { instructions, slots, byteLength, end } = scan(decoder, virt, bits);
    return { bits, byteLength, complete: end.kind !== 'bytes', instructions, slots, end };
  } finally {
    decoder.free();
  }
};
