import { cCallForm } from './call-site-shape.js';
import type { Pvop } from './pvop-catalogue.js';
import { type Bits, bitsOf, type Paging, type Register, STANDARD_CONVENTION, without } from './registers.js';
import type { OptimisationSet } from './stages.js';

/**
 * The registers that the compiler must assume changed by a call of the op (result included), besides memory and flags.
 * It allocates registers before patching, so this is paid even where the site becomes one instruction. Source: domain.md §4.1.
 */
export const compilerAssumesLost = (pvop: Pvop, paging: Paging, code: OptimisationSet): readonly Register[] => {
  const bits = bitsOf(paging);
  switch (cCallForm(pvop, code)) {
    case 'c':
      return STANDARD_CONVENTION[bits].callerSaved;
    case 'c-irq':
      return irqCallLoses(pvop, bits, code);
    case 'c-callee-save':
      return bits === 32 && code.has('F3') ? ['eax', 'edx'] : STANDARD_CONVENTION[bits].resultWord;
  }
};

/** In 2.6.29 the site's own pushes keep RDI, ECX and EDX; save_fl lists RDI as lost all the same. */
const irqCallLoses = (pvop: Pvop, bits: Bits, code: OptimisationSet): readonly Register[] => {
  if (bits === 32) return ['eax'];
  if (code.has('callee-save-irq')) return ['rax'];
  const { callerSaved } = STANDARD_CONVENTION[64];
  return pvop.name === 'irq.save_fl' ? callerSaved : without(callerSaved, ['rdi']);
};
