import type { SeededRandom } from '@pvtrail/primitives';
import type { EmissionSite, Mutant } from './mutation.js';

/**
 * What somebody could have written instead: operators and accesses that are easily taken for each other. Not among them are those that
 * often change nothing: how a value below 2³¹ is extended, or a wider load of what is cut afterwards.
 */
const MISTAKES: Readonly<Record<string, string>> = {
  i32Add: 'i32Sub',
  i64Add: 'i64Sub',
  i32Sub: 'i32Add',
  i64Sub: 'i64Add',
  i32And: 'i32Or',
  i64And: 'i64Or',
  i32Or: 'i32And',
  i64Or: 'i64And',
  i32Xor: 'i32Or',
  i64Xor: 'i64Or',
  i32Shl: 'i32ShrU',
  i64Shl: 'i64ShrU',
  i32ShrU: 'i32Shl',
  i64ShrU: 'i64Shl',
  i32ShrS: 'i32ShrU',
  i64ShrS: 'i64ShrU',
  i32Rotl: 'i32Rotr',
  i64Rotl: 'i64Rotr',
  i32Rotr: 'i32Rotl',
  i64Rotr: 'i64Rotl',
  i32Mul: 'i32Add',
  i64Mul: 'i64Add',
  i32DivU: 'i32DivS',
  i64DivU: 'i64DivS',
  i32DivS: 'i32DivU',
  i64DivS: 'i64DivU',
  i32RemU: 'i32DivU',
  i64RemU: 'i64DivU',
  i32LtU: 'i32LtS',
  i64LtU: 'i64LtS',
  i32LtS: 'i32LtU',
  i64LtS: 'i64LtU',
  i32Eq: 'i32Ne',
  i64Eq: 'i64Ne',
  i32Ne: 'i32Eq',
  i64Ne: 'i64Eq',
  i32Ctz: 'i32Clz',
  i64Ctz: 'i64Clz',
  i32Clz: 'i32Ctz',
  i64Clz: 'i64Ctz',
  i32Load16U: 'i32Load8U',
  i32Store8: 'i32Store16',
  i32Store16: 'i32Store8',
};

/** Where mistakes are planted: in the lifters, in the reading of flags, and in what they share for operands. */
const PLACES = new Set([
  'lift',
  'carry',
  'condition',
  'all',
  'overflow',
  'readRegister',
  'writeRegister',
  'load',
  'store',
  'effectiveAddress',
]);

const FLAG_PLACES = new Set(['carry', 'condition', 'all', 'overflow']);
/** Instructions that compute old flags only to pass them on, unchanged but for one: which of them holds is seen by few cases. */
const KEEPS_FLAGS = /^(clc|stc|cmc|cmpxchg|cmpxchg8b|cmpxchg16b|rcl|rcr|rol|ror|sahf)$/;

const mistakeAt = ({ mnemonic, within, text }: EmissionSite): Mutant | undefined => {
  const [kind = '', name = ''] = text.split(' ');
  const other = MISTAKES[name];
  if (other === undefined || mnemonic === '' || !PLACES.has(within)) return undefined;
  if (FLAG_PLACES.has(within) && KEEPS_FLAGS.test(mnemonic)) return undefined;
  return {
    name: `${mnemonic}: ${within} writes ${other}, not ${name}`,
    mnemonics: [mnemonic],
    within,
    from: text,
    to: `${kind} ${other}`,
  };
};

/** `count` of the mistakes that can be made at these places, drawn without repetition. */
export const seededMutants = (sites: readonly EmissionSite[], random: SeededRandom, count: number): Mutant[] => {
  const possible = sites.flatMap((site) => mistakeAt(site) ?? []);
  return Array.from({ length: Math.min(count, possible.length) }, () => {
    const [drawn] = possible.splice(random.below(possible.length), 1);
    if (drawn === undefined) throw new Error('there are not so many mistakes');
    return drawn;
  });
};
