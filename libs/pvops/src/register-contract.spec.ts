import { describe, expect, it } from 'vitest';
import { asmSaveSet } from './call-site-shape.js';
import { isCalleeSave, PVOPS, type Pvop, type PvopName, pvopNamed } from './pvop-catalogue.js';
import {
  brokenPromises,
  type CalleeConvention,
  calleeMayLose,
  resultDestroyedByThunk,
  resultNotDeclared,
  sitePromises,
} from './register-contract.js';
import type { Paging } from './registers.js';
import { optimisationsAt, STAGES, type Stage } from './stages.js';

const irqDisable = pvopNamed('irq.irq_disable');
const IRQ: readonly PvopName[] = ['irq.save_fl', 'irq.restore_fl', 'irq.irq_disable', 'irq.irq_enable'];
const C = { form: 'c' } as const;
const keepsRdi = { form: 'asm-irq', argument: 'ANY&~RDI' } as const;
const broken = (name: PvopName, convention: CalleeConvention, paging: Paging, stage: Stage) =>
  brokenPromises(C, pvopNamed(name), convention, paging, optimisationsAt(stage, paging));

describe('register contracts that hold', () => {
  it('every C site of every op on 64 bit, in every stage, with the convention of the stage', () => {
    for (const stage of STAGES) {
      const code = optimisationsAt(stage, '4level');
      for (const pvop of PVOPS.filter(({ slots }) => slots['4level'] !== null)) {
        for (const convention of isCalleeSave(pvop, code)
          ? (['thunk', 'callee-save'] as const)
          : (['standard'] as const)) {
          expect(brokenPromises(C, pvop, convention, '4level', code), `${stage} ${pvop.name} ${convention}`).toEqual(
            [],
          );
        }
      }
    }
  });

  it('every C site on 32 bit until P6, and from F3 on all but the irq sites', () => {
    for (const paging of ['pae', '2level'] as const) {
      for (const stage of STAGES) {
        const code = optimisationsAt(stage, paging);
        const sound = (pvop: Pvop) =>
          !code.has('callee-save-pte') || (code.has('F3') ? !IRQ.includes(pvop.name) : !isCalleeSave(pvop, code));
        for (const pvop of PVOPS.filter(({ slots }) => slots[paging] !== null).filter(sound)) {
          const convention = isCalleeSave(pvop, code) ? 'callee-save' : 'standard';
          expect(brokenPromises(C, pvop, convention, paging, code), `${paging} ${stage} ${pvop.name}`).toEqual([]);
        }
      }
    }
  });

  it('asm irq sites with every argument, in every stage but the one of B1', () => {
    for (const paging of ['4level', 'pae', '2level'] as const) {
      for (const stage of STAGES) {
        const code = optimisationsAt(stage, paging);
        const convention = code.has('callee-save-irq') ? 'thunk' : 'standard';
        const kept = paging === '4level' && stage !== 'clobber-aware' ? (['ANY&~RDI'] as const) : [];
        for (const argument of ['NONE', 'EAX', 'ANY', ...kept] as const) {
          const site = { form: 'asm-irq', argument } as const;
          expect(brokenPromises(site, irqDisable, convention, paging, code), `${paging} ${stage} ${argument}`).toEqual(
            [],
          );
        }
      }
    }
  });

  it('the VMI interrupt calls lose nothing but flags', () => {
    for (const stage of STAGES) {
      for (const name of IRQ) expect(broken(name, 'vmi-irq', '2level', stage)).toEqual([]);
    }
  });
});

describe('defects of the series', () => {
  it('B1: at P3 the site that must keep RDI saves nothing, though its callee may lose it', () => {
    const p3 = optimisationsAt('clobber-aware', '4level');
    expect(sitePromises(keepsRdi, irqDisable, '4level', p3)).toEqual(['rdi']);
    expect(asmSaveSet('ANY&~RDI', 64, p3)).toEqual([]);
    expect(brokenPromises(keepsRdi, irqDisable, 'standard', '4level', p3)).toEqual(['rdi']);
  });

  it('B1 is over with P4, where the callee preserves RDI', () => {
    const p4 = optimisationsAt('callee-save-irq', '4level');
    expect(calleeMayLose('thunk', irqDisable, '4level', p4)).toEqual(['rax']);
    expect(brokenPromises(keepsRdi, irqDisable, 'thunk', '4level', p4)).toEqual([]);
  });

  it('B3: as posted, the C site does not declare the high half of a PAE entry, and a thunk destroys it', () => {
    const posted = optimisationsAt('callee-save-pte-as-posted', 'pae');
    const value = pvopNamed('mmu.pte_val');
    expect(resultNotDeclared(value, 'pae', posted)).toEqual(['edx']);
    expect(resultDestroyedByThunk(value, 'pae', posted)).toEqual(['edx']);
  });

  it.each(['callee-save-pte', 'v2.6.30'] as const)('B3 is repaired in %s as measured', (stage) => {
    const code = optimisationsAt(stage, 'pae');
    for (const pvop of PVOPS.filter(({ slots }) => slots.pae !== null)) {
      expect(resultNotDeclared(pvop, 'pae', code)).toEqual([]);
    }
    expect(resultDestroyedByThunk(pvopNamed('mmu.pte_val'), 'pae', code)).toEqual([]);
  });

  it('between P6 and F3 a 32-bit value site is not told that its callee may lose EDX, whatever the width of the value', () => {
    expect(broken('mmu.pte_val', 'callee-save', '2level', 'callee-save-pte')).toEqual(['edx']);
    expect(broken('mmu.pte_val', 'callee-save', '2level', 'v2.6.30')).toEqual([]);
  });

  it('B3 does not touch values of one register', () => {
    for (const paging of ['2level', '4level'] as const) {
      const posted = optimisationsAt('callee-save-pte-as-posted', paging);
      expect(resultNotDeclared(pvopNamed('mmu.pte_val'), paging, posted)).toEqual([]);
      expect(resultDestroyedByThunk(pvopNamed('mmu.pte_val'), paging, posted)).toEqual([]);
    }
  });

  it.each(IRQ)('B4: in 2.6.30 a thunked %s loses EDX at a 32-bit C site that was not told so', (name) => {
    expect(broken(name, 'thunk', 'pae', 'v2.6.30')).toEqual(['edx']);
    expect(broken(name, 'thunk', 'pae', 'callee-save-irq')).toEqual([]);
    expect(broken(name, 'thunk', 'pae', 'callee-save-pte-as-posted')).toEqual([]);
  });
});
