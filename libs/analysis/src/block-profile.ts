import type { BlockEndKind, BlockShape, ReferenceSlot } from '@pvtrail/x86';
import type { CatalogueIndex } from './catalogue-index.js';
import { classifySave, type SaveClass } from './save-classifier.js';
import { stackAccessOf } from './stack-access-decoder.js';

/** A block of the chunk's dictionary (docs/adr/002). Its identity is all of its members. */
export interface TraceBlock {
  readonly virt: bigint;
  /** guest-physical address of the first byte */
  readonly phys: number;
  /** guest-physical address of the page that holds the bytes after a page boundary; 0 when none is crossed */
  readonly physNextPage: number;
  readonly user: boolean;
  readonly bits: 32 | 64;
  readonly bytes: Uint8Array;
}

/** What one retired instruction adds to the statistics. Indices are into the catalogue; -1 is none. */
export interface InstructionProfile {
  readonly functionIndex: number;
  readonly entersFunction: boolean;
  readonly siteIndex: number;
  readonly entersSite: boolean;
  readonly thunkIndex: number;
  readonly entersThunk: boolean;
  readonly nop: boolean;
  readonly repeated: boolean;
  /** of its slots; a repeated instruction's references are counted by the kernel instead */
  readonly reads: number;
  readonly writes: number;
  readonly branch: BranchClass | undefined;
  readonly systemClass: string | undefined;
  readonly save: SaveClass;
  /**
   * Where the byte lies that decides whether the push in a call site belongs to an inlined `push; popf`, when the block ends
   * between the two; `save` assumes that it does not
   */
  readonly decidedAt: bigint | undefined;
  /** the separate decoder's opinion */
  readonly stackAccess: boolean;
}

type BranchClass = 'conditionalBranches' | 'indirectBranches' | 'returns';

const BRANCH_CLASSES: Readonly<Partial<Record<BlockEndKind, BranchClass>>> = {
  conditional: 'conditionalBranches',
  'indirect-jump': 'indirectBranches',
  'indirect-call': 'indirectBranches',
  return: 'returns',
};

/** The catalogue's view of a block's instructions. User code has no sites and no ledger. */
export const profileBlock = (block: TraceBlock, shape: BlockShape, index: CatalogueIndex): InstructionProfile[] =>
  shape.instructions.map((_instruction, i) => profileInstruction(block, shape, i, index));

const profileInstruction = (
  block: TraceBlock,
  shape: BlockShape,
  i: number,
  index: CatalogueIndex,
): InstructionProfile => {
  const instruction = instructionAt(shape, i);
  const virt = block.virt + BigInt(instruction.offset);
  const bytes = block.bytes.subarray(instruction.offset, instruction.offset + instruction.length);
  const nextByte = block.bytes[instruction.offset + instruction.length];
  const functionIndex = index.functionAt(virt);
  const siteIndex = block.user ? -1 : index.siteAt(virt);
  const thunkIndex = block.user ? -1 : index.thunkAt(virt);
  const slots = shape.slots.filter((slot) => slot.instruction === i && !slot.repeated);
  const access = block.user ? undefined : stackAccessOf(bytes, block.bits);
  const executed = { virt, shape: instruction, bytes, nextByte };
  const save: SaveClass = block.user ? { kind: 'none' } : classifySave(index, executed, access === 'frame');
  return {
    functionIndex,
    entersFunction: functionIndex >= 0 && BigInt(index.functions[functionIndex]?.address ?? 0) === virt,
    siteIndex,
    entersSite: siteIndex >= 0 && BigInt(index.sites[siteIndex]?.address ?? 0) === virt,
    thunkIndex,
    entersThunk: thunkIndex >= 0 && BigInt(index.thunks[thunkIndex]?.address ?? 0) === virt,
    nop: instruction.nop,
    repeated: shape.slots.some((slot) => slot.repeated),
    reads: countDirection(slots, 'write'),
    writes: countDirection(slots, 'read'),
    branch: i === shape.instructions.length - 1 ? BRANCH_CLASSES[shape.end.kind] : undefined,
    systemClass: instruction.systemClass,
    save,
    decidedAt:
      save.kind === 'counted' && save.cause === 'in-site' && nextByte === undefined
        ? virt + BigInt(instruction.length)
        : undefined,
    stackAccess: access === 'stack' || (access === 'frame' && save.kind !== 'none'),
  };
};

/** Slots of every direction but one: an update reads and writes. */
const countDirection = (slots: readonly ReferenceSlot[], except: 'read' | 'write'): number =>
  slots.filter(({ direction }) => direction !== except).length;

export const instructionAt = (shape: BlockShape, i: number): BlockShape['instructions'][number] => {
  const instruction = shape.instructions[i];
  if (instruction === undefined)
    throw new RangeError(`a block of ${shape.instructions.length} instructions has no ${i}`);
  return instruction;
};
