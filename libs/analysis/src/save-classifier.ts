import type { CatalogueSite } from '@pvtrail/pvops';
import type { InstructionShape, StackUse } from '@pvtrail/x86';
import type { CatalogueIndex } from './catalogue-index.js';
import type { Cause } from './statistics.js';

/**
 * What one execution of an instruction means to the ledger (definitions §4). `none` is no push, pop or stack move at all;
 * `unclassified` is one that the catalogue does not know: an error once it is executed.
 */
export type SaveClass =
  | { readonly kind: 'none' }
  | { readonly kind: 'not-save' }
  | { readonly kind: 'unclassified' }
  | { readonly kind: 'counted'; readonly cause: Cause; readonly saves: number; readonly restores: number };

const NONE: SaveClass = { kind: 'none' };
export const NOT_SAVE: SaveClass = { kind: 'not-save' };
const UNCLASSIFIED: SaveClass = { kind: 'unclassified' };

/** The bytes that were executed from an address on, as far as the block shows them. */
export interface ExecutedInstruction {
  readonly virt: bigint;
  readonly shape: InstructionShape;
  readonly bytes: Uint8Array;
  /** The byte behind the instruction, where the block goes on. */
  readonly nextByte: number | undefined;
}

const STACK_ACCESSES = new Set<StackUse | undefined>(['push', 'pop', 'store', 'load', 'update']);

/** Whether the decoder of `@pvtrail/x86` sees a push, a pop or memory addressed by the stack pointer; `leave` pops the frame pointer. */
const usesStack = ({ stackUse, mnemonic }: InstructionShape): boolean =>
  STACK_ACCESSES.has(stackUse) || mnemonic === 'leave';

/**
 * The class of one instruction of kernel code. `framePointer`: its memory operand is addressed by the frame pointer; that is a
 * stack access where the catalogue says so, and an ordinary one elsewhere.
 */
export const classifySave = (
  index: CatalogueIndex,
  instruction: ExecutedInstruction,
  framePointer: boolean,
): SaveClass => {
  const { virt, shape } = instruction;
  const site = index.sites[index.siteAt(virt)];
  if (site !== undefined) return inSite(site, instruction);
  if (index.thunkAt(virt) >= 0) return inThunk(shape.stackUse);
  const saves = index.savesAt(virt);
  const [first] = saves;
  if (!usesStack(shape) && !framePointer) return first === undefined ? NONE : UNCLASSIFIED;
  if (first !== undefined) return counted(first.cause, saves);
  if (index.isNoSave(virt)) return NOT_SAVE;
  return framePointer ? NONE : UNCLASSIFIED;
};

const counted = (cause: Cause, saves: readonly { readonly kind: 'save' | 'restore' }[]): SaveClass => ({
  kind: 'counted',
  cause,
  saves: saves.filter(({ kind }) => kind === 'save').length,
  restores: saves.filter(({ kind }) => kind === 'restore').length,
});

const inThunk = (use: StackUse | undefined): SaveClass => {
  if (use === 'push' || use === 'pop') return counted('thunk', [{ kind: use === 'push' ? 'save' : 'restore' }]);
  return STACK_ACCESSES.has(use) ? UNCLASSIFIED : NONE;
};

/**
 * A site is judged by the bytes that ran, not by what it was built as: a push or pop is a save only where the unpatched site has
 * one of the same register, and where it does not belong to an inlined `push; popf` (`57 9d`) or `pushf; pop` (`9c 58`).
 */
const inSite = (site: CatalogueSite, instruction: ExecutedInstruction): SaveClass => {
  const { stackUse, stackRegister } = instruction.shape;
  if (!STACK_ACCESSES.has(stackUse)) return NONE;
  if (isFollowedByPopf(instruction)) return NOT_SAVE;
  const offset = Number(instruction.virt - BigInt(site.address));
  const kind = stackUse === 'push' ? 'save' : 'restore';
  const known = site.innerSaves.find((inner) => inner.offset === offset && inner.kind === kind);
  if (known !== undefined && known.register === stackRegister) return counted('in-site', [known]);
  return isPatchedCopy(site, instruction) ? NOT_SAVE : UNCLASSIFIED;
};

export const POPF = 0x9d;

const isFollowedByPopf = ({ shape, nextByte }: ExecutedInstruction): boolean =>
  shape.stackUse === 'push' && nextByte === POPF;

/** `pop` at offset 1 of a site is the second half of an inlined `pushf; pop`: no unpatched site begins that way. */
const isPatchedCopy = (site: CatalogueSite, { virt, shape }: ExecutedInstruction): boolean =>
  shape.stackUse === 'pop' && virt === BigInt(site.address) + 1n;
