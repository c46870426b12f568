import { type GuestVirt, guestVirt } from '@pvtrail/primitives';
import { directTransfer } from './direct-transfer.js';
import { type Bits, popBytes, pushBytes, type Register } from './registers.js';
import type { OptimisationSet } from './stages.js';

export interface Thunk {
  /** In push order; popped in reverse. The result register is never preserved, not even for void functions. */
  readonly saves: readonly Register[];
  readonly lengthBytes: number;
  /** What a call through the thunk executes beyond the call site and the function: pushes, call, pops, ret. */
  readonly extraInstructions: number;
}

/** The wrapper that makes a standard C function callee-save, from P4 on. F2 takes EDX out of it. Source: domain.md §4.2. */
export const thunkOf = (bits: Bits, code: OptimisationSet): Thunk => {
  const saves = thunkSaves(bits, code);
  const pushes = saves.reduce((total, register) => total + pushBytes(register).length, 0);
  return { saves, lengthBytes: 2 * pushes + 6, extraInstructions: 2 * saves.length + 2 };
};

const thunkSaves = (bits: Bits, code: OptimisationSet): readonly Register[] => {
  if (bits === 64) return ['rcx', 'rdx', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11'];
  return code.has('F2') ? ['ecx'] : ['ecx', 'edx'];
};

/** The thunk's machine code at `address`, calling `target`. */
export const thunkBytes = (bits: Bits, code: OptimisationSet, address: GuestVirt, target: GuestVirt): Uint8Array => {
  const saves = thunkSaves(bits, code);
  const pushes = saves.flatMap(pushBytes);
  const call = directTransfer('call', guestVirt(address + BigInt(pushes.length)), target);
  const RET = 0xc3;
  return Uint8Array.from([...pushes, ...call, ...saves.toReversed().flatMap(popBytes), RET]);
};
