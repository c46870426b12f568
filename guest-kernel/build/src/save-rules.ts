/**
 * What pushes, pops and stack moves of assembly sources are, by source: assembly carries no marks from a compiler. A source that
 * no rule names may only keep the callee-saved registers of the ABI.
 */
export interface SaveRule {
  readonly source: RegExp;
  readonly cause: 'entry-frame' | 'callee-frame';
}

const SAVE_RULES: readonly SaveRule[] = [
  // System call, interrupt and exception entry and exit build and unwind the register frame (definitions §4: present in nopv too).
  { source: /^entry\//, cause: 'entry-frame' },
];

/** Registers that a called function keeps (System V ABI, figure 3.4). */
export const CALLEE_SAVED: ReadonlySet<string> = new Set(['rbx', 'rbp', 'r12', 'r13', 'r14', 'r15']);

export const causeOfSource = (source: string): SaveRule['cause'] =>
  SAVE_RULES.find((rule) => rule.source.test(source))?.cause ?? 'callee-frame';

export const isEntrySource = (source: string): boolean => causeOfSource(source) === 'entry-frame';
