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

/** Registers that a called function keeps (System V ABI, figure 3.4). */
const CALLEE_SAVED: ReadonlySet<string> = new Set(['rbx', 'rbp', 'r12', 'r13', 'r14', 'r15']);

/**
 * Offsets in `struct regs` (src/include/layout.h) where a register's value is kept. A system call's rcx and r11 are the user's
 * rip and flags, and rax is also kept as the call's number.
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
]);

/** A function that fills its caller's frame has its return address below it. */
const RETURN_ADDRESS_BYTES = 8;

const ruleOf = (source: string, fn: string): SaveRule | undefined =>
  SAVE_RULES.find((rule) => rule.source.test(source) && (rule.function === undefined || rule.function === fn));

export const causeOf = (source: string, fn: string): SaveRule['cause'] => ruleOf(source, fn)?.cause ?? 'callee-frame';

/** True when an assembly function may save this register in its own frame. */
export const mayKeep = (source: string, fn: string, register: string): boolean =>
  CALLEE_SAVED.has(register) || ruleOf(source, fn)?.keepsAll === true;

export const isEntry = (source: string, fn: string): boolean => causeOf(source, fn) === 'entry-frame';

export const noSaveReason = (fn: string, form: string, register: string): string | undefined =>
  NO_SAVES.find((row) => row.function === fn && row.form === form && row.register === register)?.reason;

/** True when the frame keeps `register` at RSP + `displacement`, with or without a return address below the frame. */
export const isOwnFrameSlot = (register: string, displacement: number): boolean => {
  const slots = FRAME_SLOTS.get(register) ?? [];
  return slots.includes(displacement) || slots.includes(displacement - RETURN_ADDRESS_BYTES);
};
