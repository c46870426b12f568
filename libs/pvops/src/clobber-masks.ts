import { AppError } from '@pvtrail/primitives';
import { type Bits, type Register, STANDARD_CONVENTION } from './registers.js';
import type { OptimisationSet } from './stages.js';

/** Register of each mask bit, bit 0 first. P3 renumbered the bits and gave 32 bit EDI (domain.md §2.2). */
const BITS_BEFORE: Record<Bits, readonly Register[]> = {
  32: ['eax', 'ecx', 'edx'],
  64: ['rax', 'rcx', 'rdx', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11'],
};
const BITS_FROM_CLOBBER_AWARE: Record<Bits, readonly Register[]> = {
  32: ['eax', 'ecx', 'edx', 'edi'],
  64: ['rax', 'rcx', 'rdx', 'rdi', 'rsi', 'r8', 'r9', 'r10', 'r11'],
};

/** The registers that mask bits mean in this code, bit 0 first. */
export const maskBits = (bits: Bits, code: OptimisationSet): readonly Register[] =>
  (code.has('clobber-aware') ? BITS_FROM_CLOBBER_AWARE : BITS_BEFORE)[bits];

export const NO_CLOBBERS = 0;

/** The mask that allows every register it can name. */
export const anyMask = (bits: Bits, code: OptimisationSet): number => (1 << maskBits(bits, code).length) - 1;

/** @throws AppError `input/unsupported-combination` for a register that has no bit in this code */
export const maskOf = (registers: readonly Register[], bits: Bits, code: OptimisationSet): number =>
  registers.reduce((mask, register) => mask | (1 << bitOf(register, bits, code)), 0);

const bitOf = (register: Register, bits: Bits, code: OptimisationSet): number => {
  const bit = maskBits(bits, code).indexOf(register);
  if (bit < 0) throw new AppError('input/unsupported-combination', `${register} has no ${bits}-bit clobber mask bit`);
  return bit;
};

/** The registers that a mask allows the callee to lose. */
export const registersOf = (mask: number, bits: Bits, code: OptimisationSet): readonly Register[] =>
  maskBits(bits, code).filter((_register, bit) => (mask & (1 << bit)) !== 0);

/** Registers that carry arguments, and those that never do. */
export const argumentMask = (bits: Bits, code: OptimisationSet): number =>
  maskOf(STANDARD_CONVENTION[bits].arguments, bits, code);
export const scratchMask = (bits: Bits, code: OptimisationSet): number =>
  bits === 64 ? maskOf(['r10', 'r11'], bits, code) : NO_CLOBBERS;

/** The registers of a result; null before P3, and on 32 bit at P3, where the kernel defines no such set (domain.md §2.2). */
export const returnMask = (bits: Bits, code: OptimisationSet): number | null => {
  if (code.has('callee-save-pte')) return maskOf(bits === 64 ? ['rax'] : ['eax', 'edx'], bits, code);
  if (code.has('callee-save-irq')) return maskOf(bits === 64 ? ['rax'] : ['eax'], bits, code);
  return bits === 64 && code.has('clobber-aware') ? maskOf(['rax', 'rdx'], bits, code) : null;
};

/** The registers that a callee-save function preserves, (ARG ∪ SCRATCH) − RET; none before the convention exists (P4). */
export const calleePreservedMask = (bits: Bits, code: OptimisationSet): number => {
  const returned = returnMask(bits, code);
  if (returned === null || !code.has('callee-save-irq')) return NO_CLOBBERS;
  return (argumentMask(bits, code) | scratchMask(bits, code)) & ~returned;
};
