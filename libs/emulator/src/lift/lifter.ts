import { Mnemonic } from 'iced-x86';
import type { FunctionEmitter } from './function-emitter.js';

/** Emits one instruction; the emitter holds the instruction and all state. */
export type Lifter = (emitter: FunctionEmitter) => void;

/** Names of conditions by code (SDM vol. 1 appendix B), as in jcc, setcc and cmovcc. */
const CONDITIONS = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'] as const;

/** Mnemonics `prefix` + condition, with the condition's code. */
export const conditional = (prefix: string): readonly (readonly [Mnemonic, number])[] =>
  CONDITIONS.map((name, code) => [Mnemonic[`${prefix}${name}` as keyof typeof Mnemonic], code] as const);
