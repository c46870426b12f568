import { describe, expect, it } from 'vitest';
import {
  hasCallSites,
  isCalleeSave,
  nativeOp,
  PVOPS,
  pvopNamed,
  pvopOfType,
  slotCount,
  typeOf,
} from './pvop-catalogue.js';
import type { Paging } from './registers.js';
import { optimisationsAt } from './stages.js';

const SLOTS: readonly (readonly [Paging, number])[] = [
  ['4level', 111],
  ['2level', 101],
  ['pae', 107],
];

describe('the op template', () => {
  it.each(SLOTS)('with %s paging has %i slots, each with one op, in order', (paging, count) => {
    const types = PVOPS.flatMap(({ slots }) => slots[paging] ?? []);
    expect(slotCount(paging)).toBe(count);
    expect(types).toEqual(Array.from({ length: count }, (_, type) => type));
  });

  it('gives type and name of each other', () => {
    expect(typeOf('irq.save_fl', '4level')).toBe(53);
    expect(pvopOfType(53, '4level').name).toBe('irq.save_fl');
    expect(pvopOfType(53, 'pae').name).toBe('irq.irq_enable');
    expect(typeOf('lock.spin_unlock', '2level')).toBe(100);
  });

  it('refuses types and names that it does not have', () => {
    const violation = expect.objectContaining({ code: 'patch/rule-violation' });
    expect(() => pvopOfType(101, '2level')).toThrowError(violation);
    expect(() => typeOf('mmu.pud_val', 'pae')).toThrowError(violation);
    expect(() => pvopNamed('mmu.pte_flags')).toThrowError(violation);
  });

  it.each([
    ['4level', 12],
    ['pae', 10],
    ['2level', 8],
  ] as const)(
    'with %s paging has %i callee-save ops after the series and four with the irq ops only',
    (paging, count) => {
      const calleeSave = (stage: 'clobber-aware' | 'callee-save-irq' | 'v2.6.30') =>
        PVOPS.filter((pvop) => pvop.slots[paging] !== null && isCalleeSave(pvop, optimisationsAt(stage, paging)))
          .length;
      expect([calleeSave('clobber-aware'), calleeSave('callee-save-irq'), calleeSave('v2.6.30')]).toEqual([
        0,
        4,
        count,
      ]);
    },
  );

  it('has no call sites for ops with more than four argument words or behind plain pointers', () => {
    const without = (paging: Paging) =>
      PVOPS.filter((pvop) => pvop.slots[paging] !== null && !hasCallSites(pvop, paging)).map(({ name }) => name);
    const everywhere = ['init.patch', 'cpu.io_delay', 'irq.init_IRQ'];
    const pagetable = ['mmu.pagetable_setup_start', 'mmu.pagetable_setup_done'];
    expect(without('4level')).toEqual([...everywhere, ...pagetable, 'mmu.set_fixmap']);
    expect(without('pae')).toEqual([
      ...everywhere,
      ...pagetable,
      'mmu.set_pte_at',
      'mmu.ptep_modify_prot_commit',
      'mmu.set_fixmap',
    ]);
  });

  it('counts argument words: five-word ops are exactly those that PAE calls through pointers', () => {
    const words = (args: readonly string[]) => args.reduce((total, name) => total + (name === 'entry' ? 2 : 1), 0);
    const tooLong = PVOPS.filter(
      ({ slots, args, caller }) => slots.pae !== null && caller === 'c' && words(args) > 4,
    ).map(({ name }) => name);
    expect(tooLong).toEqual(PVOPS.filter(({ pointerWith }) => pointerWith.includes('pae')).map(({ name }) => name));
  });

  it('has identities natively in exactly the page-table value ops', () => {
    const identities = PVOPS.filter((pvop) => nativeOp(pvop, '4level') === 'identity').map(({ name }) => name);
    const values = PVOPS.filter(({ calleeSaveFrom }) => calleeSaveFrom === 'callee-save-pte').map(({ name }) => name);
    expect(identities).toEqual(values);
    expect(nativeOp(pvopNamed('mmu.pagetable_setup_start'), '4level')).toBe('nop');
    expect(nativeOp(pvopNamed('mmu.pagetable_setup_start'), 'pae')).toBe('function');
  });
});
