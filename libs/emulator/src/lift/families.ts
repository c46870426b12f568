import type { Mnemonic } from 'iced-x86';
import { ARITHMETIC } from './arithmetic.js';
import { BITS } from './bits.js';
import type { Lifter } from './lifter.js';
import { MOVES } from './move.js';
import { MULTIPLICATIONS } from './multiply.js';
import { SHIFTS } from './shift.js';
import { STRINGS } from './string.js';

/** Every instruction that does not transfer control, by mnemonic. */
export const LIFTERS: ReadonlyMap<Mnemonic, Lifter> = new Map([
  ...ARITHMETIC,
  ...BITS,
  ...MOVES,
  ...MULTIPLICATIONS,
  ...SHIFTS,
  ...STRINGS,
]);
