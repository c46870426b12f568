import type { Bits, CatalogueSave } from '@pvtrail/pvops';
import { type CallFrame, rowAt } from './call-frames.js';
import { isAssembly, type KernelFunction } from './kernel-functions.js';
import { causeOf, isOwnFrameSlot, mayKeep, noSaveReason } from './save-rules.js';
import { decodeStackInstructions, type StackInstruction } from './stack-instructions.js';

/** What one stack instruction is: saves or restores of one cause, no save for a reason, or unknown. */
export type Verdict =
  | {
      readonly kind: 'saves';
      readonly cause: CatalogueSave['cause'];
      readonly directions: readonly CatalogueSave['kind'][];
    }
  | { readonly kind: 'no-save'; readonly reason: string }
  | { readonly kind: 'unclassified' };

export interface ClassifiedInstruction {
  readonly instruction: StackInstruction;
  readonly fn: KernelFunction;
  readonly verdict: Verdict;
}

/** A half-open range of addresses. */
export interface AddressRange {
  readonly from: bigint;
  readonly to: bigint;
}

const contains = (ranges: readonly AddressRange[], address: bigint): boolean =>
  ranges.some(({ from, to }) => address >= from && address < to);

/**
 * Classifies every stack instruction of a function by definitions §4, except those inside of `excluded` (call sites and thunks,
 * which count by range). `code`: the function's linked bytes.
 */
export const classifySaves = (
  bits: Bits,
  fn: KernelFunction,
  code: Uint8Array,
  excluded: readonly AddressRange[],
): ClassifiedInstruction[] =>
  decodeStackInstructions(bits, code, fn.address)
    .filter((instruction) => !contains(excluded, instruction.address))
    .map((instruction) => ({ instruction, fn, verdict: verdictOf(bits, instruction, fn) }));

const noSave = (reason: string): Verdict => ({ kind: 'no-save', reason });
const saves = (cause: CatalogueSave['cause'], ...directions: CatalogueSave['kind'][]): Verdict => ({
  kind: 'saves',
  cause,
  directions,
});
const UNCLASSIFIED: Verdict = { kind: 'unclassified' };

const verdictOf = (bits: Bits, instruction: StackInstruction, fn: KernelFunction): Verdict => {
  if (movesFlags(instruction)) return noSave('flags');
  if (isAssembly(fn.source) || !fn.frame) return assemblyVerdict(bits, instruction, fn);
  return compiledVerdict(bits, instruction, fn, fn.frame);
};

/** pushf/popf, and the `push rdi`/`pop rax` that carries their value (definitions §4, *save, restore*). */
const movesFlags = ({ form, previous, next }: StackInstruction): boolean =>
  form === 'push-flags' ||
  form === 'pop-flags' ||
  (form === 'pop' && previous.startsWith('pushf')) ||
  (form === 'push' && next.startsWith('popf'));

/** Directions of an access, seen from the register: what is written to the stack is saved. */
const directionsOf = ({ form, stackOperand }: StackInstruction): readonly CatalogueSave['kind'][] => {
  if (form === 'push' && stackOperand === 'write') return ['save'];
  if (stackOperand === 'read') return ['restore'];
  return stackOperand === 'write' ? ['save'] : ['restore', 'save'];
};

const compiledVerdict = (bits: Bits, instruction: StackInstruction, fn: KernelFunction, frame: CallFrame): Verdict => {
  if (fn.spills.has(instruction.address)) return spillVerdict(instruction);
  if (keepsRegister(instruction, fn, frame)) return saves('callee-frame', ...directionsOf(instruction));
  if (contains(fn.inline, instruction.address)) return inlineVerdict(instruction, fn);
  if (instruction.form === 'push') return noSave('argument-push');
  if (instruction.form === 'pop') return noSave('argument-pop');
  return noSave(placeOf(distanceFromFrame(instruction, fn, frame), bits / 8));
};

/** The caller's arguments begin at the canonical frame address, the return address lies right below it. */
const placeOf = (distance: number | undefined, wordBytes: number): string => {
  if (distance === undefined || distance < -wordBytes) return 'local';
  return distance < 0 ? 'return-address' : 'argument-load';
};

/** A push of a spill slot's value reads the slot: the push itself passes an argument. */
const spillVerdict = (instruction: StackInstruction): Verdict =>
  instruction.form === 'push' ? saves('spill', 'restore') : saves('spill', ...directionsOf(instruction));

/** Inline assembly may use locals in memory; a fourth argument word is pushed right before the call; other pushes and pops need a row of their own. */
const inlineVerdict = ({ form, register, next }: StackInstruction, fn: KernelFunction): Verdict => {
  const reason = noSaveReason(fn.name, form, register);
  if (reason !== undefined) return noSave(reason);
  if (form === 'push' && next === 'call') return noSave('argument-push');
  return form === 'push' || form === 'pop' ? UNCLASSIFIED : noSave('local');
};

/** Distance of the stack operand from the canonical frame address; undefined where that is not known by the same register. */
const distanceFromFrame = (instruction: StackInstruction, fn: KernelFunction, frame: CallFrame): number | undefined => {
  const row = rowAt(frame, Number(instruction.address - fn.address));
  return row.register === instruction.base ? instruction.displacement - row.cfaOffset : undefined;
};

/** True for the instruction that stores or reloads a register at the place where .eh_frame says that it is kept. */
const keepsRegister = (instruction: StackInstruction, fn: KernelFunction, frame: CallFrame): boolean => {
  const keptAt = frame.savedAt.get(instruction.register);
  if (keptAt === undefined || instruction.form === 'read-modify-write') return false;
  const distance = distanceFromFrame(instruction, fn, frame);
  return distance === undefined || distance === keptAt;
};

const assemblyVerdict = (bits: Bits, instruction: StackInstruction, fn: KernelFunction): Verdict => {
  const reason = noSaveReason(fn.name, instruction.form, instruction.register);
  if (reason !== undefined) return noSave(reason);
  return causeOf(fn.source, fn.name) === 'entry-frame'
    ? entryVerdict(bits, instruction)
    : calleeVerdict(instruction, fn);
};

const calleeVerdict = (instruction: StackInstruction, fn: KernelFunction): Verdict =>
  mayKeep(fn.source, fn.name, instruction.register) && instruction.form !== 'read-modify-write'
    ? saves('callee-frame', ...directionsOf(instruction))
    : UNCLASSIFIED;

/** Entry code keeps each register in its own slot of the frame; it also reads, tests and completes the frame. */
const entryVerdict = (bits: Bits, instruction: StackInstruction): Verdict => {
  const { form, mnemonic, register, displacement } = instruction;
  if (form === 'push' || form === 'pop') {
    return REGISTER_FREE.has(register) ? noSave('frame-constant') : saves('entry-frame', ...directionsOf(instruction));
  }
  if (!isOwnFrameSlot(bits, register, displacement) || !(mnemonic === 'mov' || mnemonic === 'xchg'))
    return noSave('frame-access');
  return isResult(instruction) ? noSave('result') : saves('entry-frame', ...directionsOf(instruction));
};

const REGISTER_FREE = new Set(['memory', 'constant']);

/** A system call's result goes into the frame right after the call. */
const isResult = ({ stackOperand, register, previous }: StackInstruction): boolean =>
  stackOperand === 'write' && (register === 'rax' || register === 'eax') && previous === 'call';
