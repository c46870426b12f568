import { AppError } from '@pvtrail/primitives';
import { anyMask, calleePreservedMask, maskOf, NO_CLOBBERS, registersOf, returnMask } from './clobber-masks.js';
import { isCalleeSave, isIrqOp, type Pvop } from './pvop-catalogue.js';
import { type Bits, pushBytes, type Register } from './registers.js';
import type { OptimisationSet } from './stages.js';

/** The clobber arguments that entry code passes (domain.md §2.4). `ANY&~RDI` has one site, in native_load_gs_index. */
export type AsmClobberArgument = 'NONE' | 'EAX' | 'ANY' | 'ANY&~RDI';

/**
 * How a site was written (domain.md §2.1). `asm-irq` saves around its call what its argument asks for; `asm-call` is a bare call;
 * `swapgs-unsafe` is the native instruction itself, which must be inlined or trapped.
 */
export type CallSiteForm =
  | { readonly form: 'c' | 'c-irq' | 'c-callee-save' | 'asm-call' | 'asm-jump' | 'swapgs' | 'swapgs-unsafe' }
  | { readonly form: 'asm-irq'; readonly argument: AsmClobberArgument };

export interface CallSiteShape {
  readonly lengthBytes: number;
  /** Pushed in this order before the call inside the site, popped in reverse after it. */
  readonly saves: readonly Register[];
}

/** Push order of asm sites (domain.md §2.1). */
const ASM_SAVE_ORDER: Record<Bits, readonly Register[]> = {
  32: ['eax', 'edi', 'ecx', 'edx'],
  64: ['rax', 'rcx', 'rdx', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11'],
};
/** A native irq op was expected to need no more, so 2.6.29 put these pushes into the C site itself. */
const C_IRQ_SAVES: Record<Bits, readonly Register[]> = { 32: ['ecx', 'edx'], 64: ['rdi'] };
const SWAPGS_BYTES = 3;
/** asm calls and jumps: ff 15 / ff 25 with a 32-bit operand; on 32 bit with a cs: prefix. */
const ASM_TRANSFER_BYTES: Record<Bits, number> = { 32: 7, 64: 6 };

/** Length and inner saves of a site, as the period's macros made it. Source: domain.md §2.1. */
export const callSiteShape = (site: CallSiteForm, bits: Bits, code: OptimisationSet): CallSiteShape => {
  switch (site.form) {
    case 'c':
    case 'c-callee-save':
      return around(cCallBytes(bits, code), []);
    case 'c-irq':
      return around(cCallBytes(bits, code), code.has('callee-save-irq') ? [] : C_IRQ_SAVES[bits]);
    case 'asm-call':
    case 'asm-jump':
      return around(ASM_TRANSFER_BYTES[bits], []);
    case 'asm-irq':
      return around(ASM_TRANSFER_BYTES[bits], asmSaveSet(site.argument, bits, code));
    case 'swapgs':
      return around(ASM_TRANSFER_BYTES[bits], code.has('clobber-aware') ? [] : ASM_SAVE_ORDER[bits]);
    case 'swapgs-unsafe':
      return around(SWAPGS_BYTES, []);
  }
};

const around = (callBytes: number, saves: readonly Register[]): CallSiteShape => ({
  lengthBytes: callBytes + 2 * saves.reduce((total, register) => total + pushBytes(register).length, 0),
  saves,
});

/** ff 15 with a 32-bit operand; from F4 ff 14 25 abs32 on 64 bit, where ff 15 would be relative to rip. */
const cCallBytes = (bits: Bits, code: OptimisationSet): number => (bits === 64 && code.has('F4') ? 7 : 6);

/**
 * What an asm irq site saves: everything before P3; at P3 what its argument does not allow, as the macro then computed it
 * (domain.md §4.3, B1); from P4 also without what the callee preserves. In push order.
 * @throws AppError `input/unsupported-combination` for an argument that this bitness does not have
 */
export const asmSaveSet = (argument: AsmClobberArgument, bits: Bits, code: OptimisationSet): readonly Register[] => {
  const terms = argumentTerms(argument, bits, code);
  if (!code.has('clobber-aware')) return ASM_SAVE_ORDER[bits];
  const saved = code.has('callee-save-irq')
    ? ~(conjunction(terms) | calleePreservedMask(bits, code))
    : withoutParentheses(terms);
  const registers = registersOf(saved & anyMask(bits, code), bits, code);
  return ASM_SAVE_ORDER[bits].filter((register) => registers.includes(register));
};

/** `~a & b` where `~(a & b)` was meant: the negation binds to the first term only. */
const withoutParentheses = ([first = 0, ...others]: readonly number[]): number => conjunction([~first, ...others]);

const conjunction = (terms: readonly number[]): number => terms.reduce((mask, term) => mask & term, ~0);

const argumentTerms = (argument: AsmClobberArgument, bits: Bits, code: OptimisationSet): readonly number[] => {
  switch (argument) {
    case 'NONE':
      return [NO_CLOBBERS];
    case 'EAX':
      return [maskOf([bits === 64 ? 'rax' : 'eax'], bits, code)];
    case 'ANY':
      return [anyMask(bits, code)];
    case 'ANY&~RDI':
      if (bits === 32) {
        throw new AppError('input/unsupported-combination', 'only 64-bit entry code has a site that keeps RDI');
      }
      return [anyMask(bits, code), ~maskOf(['rdi'], bits, code)];
  }
};

const RECORD_MASK = 0xffff;

/** The mask in the record of an asm site. Until P2 `ANY&~RDI` was written with OR, which makes all ones (domain.md §4.3, B2). */
export const asmSiteMask = (argument: AsmClobberArgument, bits: Bits, code: OptimisationSet): number => {
  const terms = argumentTerms(argument, bits, code);
  const mask = code.has('clobber-aware') ? conjunction(terms) : terms.reduce((sum, term) => sum | term, 0);
  return mask & RECORD_MASK;
};

/** How C code calls the op: F1 converts pud_val, which P6 missed (domain.md §0.1). */
export const cCallForm = (pvop: Pvop, code: OptimisationSet): 'c' | 'c-irq' | 'c-callee-save' => {
  if (isIrqOp(pvop.name)) return 'c-irq';
  if (!isCalleeSave(pvop, code) || (pvop.name === 'mmu.pud_val' && !code.has('F1'))) return 'c';
  return 'c-callee-save';
};

/** The mask in the record of a C site: ANY; RET for callee-save calls; the irq sites say EAX throughout (domain.md §2.2). */
export const cSiteMask = (form: 'c' | 'c-irq' | 'c-callee-save', bits: Bits, code: OptimisationSet): number => {
  if (form === 'c') return anyMask(bits, code);
  if (form === 'c-irq') return maskOf([bits === 64 ? 'rax' : 'eax'], bits, code);
  return returnMask(bits, code) ?? anyMask(bits, code);
};
