import type { Bits } from '@pvtrail/pvops';

/**
 * What pushes, pops and stack moves of assembly are: assembly carries no marks from a compiler. The first row that names the
 * source, and the function where it has one, holds. Assembly without a row may keep callee-saved registers of the ABI only.
 */
interface SaveRule {
  readonly source: RegExp;
  readonly function?: string;
  readonly cause: 'entry-frame' | 'callee-frame';
  /** The function keeps every register for its caller, not only those of the ABI. */
  readonly keepsAll?: boolean;
}

const SAVE_RULES: readonly SaveRule[] = [
  // The switch of kernel stacks is a call that keeps what every called function keeps.
  { source: /^entry\//, function: 'switch_stacks', cause: 'callee-frame' },
  // System call, interrupt and exception entry and exit fill and empty the register frame (definitions §4: in nopv too).
  { source: /^entry\//, cause: 'entry-frame' },
  { source: /^xen\/entry/, cause: 'entry-frame' },
  // What the stubs of hypercalls and the taking of pending events keep, their callers count on.
  { source: /^xen\//, function: 'hypercall_page', cause: 'callee-frame', keepsAll: true },
  { source: /^xen\//, function: 'xen_check_events', cause: 'callee-frame', keepsAll: true },
];

/** Instructions of assembly, inline assembly too, that move no register's value to safety, by function, form and operand. */
interface NoSaveRow {
  readonly function: string;
  readonly form: string;
  readonly register: string;
  readonly reason: string;
}

const NO_SAVES: readonly NoSaveRow[] = [
  { function: 'save_args', form: 'pop', register: 'rax', reason: 'return-address' },
  // The code segment is loaded by a far return to the next instruction.
  { function: 'cpu_init', form: 'push', register: 'constant', reason: 'far-return' },
  { function: 'cpu_init', form: 'push', register: 'rax', reason: 'far-return' },
];

/** Registers that a called function keeps (System V ABI: figure 3.4 of x86-64, table 2.3 of i386). */
const CALLEE_SAVED: ReadonlySet<string> = new Set([
  ...['rbx', 'rbp', 'r12', 'r13', 'r14', 'r15'],
  ...['ebx', 'ebp', 'esi', 'edi'],
]);

/**
 * Offsets in `struct regs` (src/include/layout_64.h, layout_32.h) where a register's value is kept. A system call's rcx and r11
 * are the user's rip and flags, on 32 bit sysexit takes eip and esp from edx and ecx; rax and eax are also kept as the call's number.
 */
const FRAME_SLOTS: ReadonlyMap<string, readonly number[]> = new Map([
  ['r15', [0]],
  ['r14', [8]],
  ['r13', [16]],
  ['r12', [24]],
  ['rbp', [32]],
  ['rbx', [40]],
  ['r11', [48, 144]],
  ['r10', [56]],
  ['r9', [64]],
  ['r8', [72]],
  ['rax', [80, 120]],
  ['rcx', [88, 128]],
  ['rdx', [96]],
  ['rsi', [104]],
  ['rdi', [112]],
  ['ebx', [0]],
  ['ecx', [4, 60]],
  ['edx', [8, 48]],
  ['esi', [12]],
  ['edi', [16]],
  ['ebp', [20]],
  ['eax', [24, 44]],
  ['ds', [28]],
  ['es', [32]],
  ['fs', [36]],
  ['gs', [40]],
]);

const ruleOf = (source: string, fn: string): SaveRule | undefined =>
  SAVE_RULES.find((rule) => rule.source.test(source) && (rule.function === undefined || rule.function === fn));

export const causeOf = (source: string, fn: string): SaveRule['cause'] => ruleOf(source, fn)?.cause ?? 'callee-frame';

/** True when an assembly function may save this register in its own frame. */
export const mayKeep = (source: string, fn: string, register: string): boolean =>
  CALLEE_SAVED.has(register) || ruleOf(source, fn)?.keepsAll === true;

export const isEntry = (source: string, fn: string): boolean => causeOf(source, fn) === 'entry-frame';

export const noSaveReason = (fn: string, form: string, register: string): string | undefined =>
  NO_SAVES.find((row) => row.function === fn && row.form === form && row.register === register)?.reason;

/**
 * True when the frame keeps `register` at the stack pointer + `displacement`. A function that fills its caller's frame has its
 * return address below it.
 */
export const isOwnFrameSlot = (bits: Bits, register: string, displacement: number): boolean => {
  const slots = FRAME_SLOTS.get(register) ?? [];
  return slots.includes(displacement) || slots.includes(displacement - bits / 8);
};
