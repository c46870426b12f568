import { type AsmClobberArgument, callSiteShape, cCallForm } from './call-site-shape.js';
import { calleePreservedMask, registersOf } from './clobber-masks.js';
import { compilerAssumesLost } from './compiler-clobbers.js';
import type { Pvop } from './pvop-catalogue.js';
import { bitsOf, type Paging, type Register, STANDARD_CONVENTION, without } from './registers.js';
import type { OptimisationSet } from './stages.js';
import { thunkOf } from './thunks.js';

/**
 * What the code behind a slot is. `standard`: a C function. `thunk`: a C function behind the callee-save wrapper.
 * `callee-save`: code that conforms by itself. `vmi-irq`: the ROM's interrupt calls, which lose flags only (domain.md §5.4).
 */
export type CalleeConvention = 'standard' | 'thunk' | 'callee-save' | 'vmi-irq';

export type CallerSide = { readonly form: 'c' } | { readonly form: 'asm-irq'; readonly argument: AsmClobberArgument };

/** Registers of the op's result, low half first; none for void ops. */
export const resultRegisters = (pvop: Pvop, paging: Paging): readonly Register[] => {
  const convention = STANDARD_CONVENTION[bitsOf(paging)];
  switch (pvop.result) {
    case 'none':
      return [];
    case 'word':
      return convention.resultWord;
    case 'u64':
      return convention.resultU64;
    case 'entry':
      return paging === '2level' ? convention.resultWord : convention.resultU64;
  }
};

/** What a callee of this convention may leave changed, its result excluded: what a proof of the contract poisons. */
export const calleeMayLose = (
  convention: CalleeConvention,
  pvop: Pvop,
  paging: Paging,
  code: OptimisationSet,
): readonly Register[] => {
  const bits = bitsOf(paging);
  const { callerSaved } = STANDARD_CONVENTION[bits];
  const result = resultRegisters(pvop, paging);
  switch (convention) {
    case 'standard':
      return without(callerSaved, result);
    case 'thunk':
      return without(without(callerSaved, thunkOf(bits, code).saves), result);
    case 'callee-save':
      return without(without(callerSaved, registersOf(calleePreservedMask(bits, code), bits, code)), result);
    case 'vmi-irq':
      return [];
  }
};

/** Result registers that the callee's wrapper puts back to their old value, so that the result is lost there (B3, domain.md §4.3). */
export const resultDestroyedByThunk = (pvop: Pvop, paging: Paging, code: OptimisationSet): readonly Register[] => {
  const { saves } = thunkOf(bitsOf(paging), code);
  return resultRegisters(pvop, paging).filter((register) => saves.includes(register));
};

/** Result registers that the C site does not list as outputs, so that the caller reads something else (B3). */
export const resultNotDeclared = (pvop: Pvop, paging: Paging, code: OptimisationSet): readonly Register[] =>
  without(resultRegisters(pvop, paging), compilerAssumesLost(pvop, paging, code));

/**
 * The registers that a site promises its surroundings to keep, of those that a convention could lose: for C what the compiler was
 * not told, for asm what the clobber argument does not name.
 */
export const sitePromises = (
  site: CallerSide,
  pvop: Pvop,
  paging: Paging,
  code: OptimisationSet,
): readonly Register[] => {
  const { callerSaved } = STANDARD_CONVENTION[bitsOf(paging)];
  return without(
    callerSaved,
    site.form === 'c' ? compilerAssumesLost(pvop, paging, code) : argumentNames(site.argument, paging),
  );
};

const argumentNames = (argument: AsmClobberArgument, paging: Paging): readonly Register[] => {
  const { callerSaved, resultWord } = STANDARD_CONVENTION[bitsOf(paging)];
  switch (argument) {
    case 'NONE':
      return [];
    case 'EAX':
      return resultWord;
    case 'ANY':
      return callerSaved;
    case 'ANY&~RDI':
      return without(callerSaved, ['rdi']);
  }
};

/**
 * Registers that a site promises, does not save itself, and that its callee may lose: empty when the contract holds
 * (definitions.md §7).
 */
export const brokenPromises = (
  site: CallerSide,
  pvop: Pvop,
  convention: CalleeConvention,
  paging: Paging,
  code: OptimisationSet,
): readonly Register[] => {
  const lost = without(calleeMayLose(convention, pvop, paging, code), savedInSite(site, pvop, paging, code));
  return sitePromises(site, pvop, paging, code).filter((register) => lost.includes(register));
};

const savedInSite = (site: CallerSide, pvop: Pvop, paging: Paging, code: OptimisationSet): readonly Register[] =>
  callSiteShape(site.form === 'c' ? { form: cCallForm(pvop, code) } : site, bitsOf(paging), code).saves;
