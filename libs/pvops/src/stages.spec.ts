import { describe, expect, it } from 'vitest';
import {
  nextOptimisations,
  OPTIMISATIONS,
  type Optimisation,
  optimisationRow,
  optimisationsAt,
  optimisationsLeadingTo,
  STAGES,
  stageReached,
} from './stages.js';

const all = OPTIMISATIONS.map(({ name }) => name);
const native = all.filter((name) => name !== 'xen-direct-irq' && name !== 'lguest-vmcall');

describe('stages', () => {
  it('each contains what the one before contains', () => {
    for (const paging of ['4level', 'pae', '2level'] as const) {
      const contents = STAGES.map((stage) => [...optimisationsAt(stage, paging)]);
      for (const [index, content] of contents.entries()) {
        expect(content.slice(0, contents[index - 1]?.length ?? 0)).toEqual(contents[index - 1] ?? []);
      }
    }
  });

  it('fold F1 to F3 into callee-save-pte with PAE only, and not as posted', () => {
    expect(optimisationsAt('callee-save-pte', 'pae').has('F3')).toBe(true);
    expect(optimisationsAt('callee-save-pte', 'pae').has('F4')).toBe(false);
    expect(optimisationsAt('callee-save-pte-as-posted', 'pae').has('F1')).toBe(false);
    expect(optimisationsAt('callee-save-pte', '4level').has('F1')).toBe(false);
  });

  it('are reached when their last needed optimisation is applied, and not between', () => {
    const reached = native.map((_, index) => stageReached(native.slice(0, index + 1), 'native'));
    expect(reached).toEqual([
      'identity',
      'clobber-aware',
      'callee-save-irq',
      'callee-save-pte',
      null,
      null,
      null,
      'v2.6.30',
      'direct-call',
    ]);
    expect(stageReached([], 'native')).toBe('v2.6.29');
  });

  it('need the guest’s own optimisations too', () => {
    const upToF4 = native.slice(0, 8);
    expect(stageReached(upToF4, 'xen')).toBeNull();
    expect(stageReached([...upToF4, 'xen-direct-irq'], 'xen')).toBe('v2.6.30');
    expect(stageReached([...upToF4, 'xen-direct-irq', 'lguest-vmcall'], 'native')).toBe('v2.6.30');
  });
});

describe('the way to a stage', () => {
  it('is what the guest type needs, up to the stage', () => {
    expect(optimisationsLeadingTo('nopv', 'native')).toEqual([]);
    expect(optimisationsLeadingTo('v2.6.29', 'native')).toEqual([]);
    expect(optimisationsLeadingTo('clobber-aware', 'native')).toEqual(['identity', 'clobber-aware']);
    expect(optimisationsLeadingTo('v2.6.30', 'xen').slice(-2)).toEqual(['F4', 'xen-direct-irq']);
    expect(optimisationsLeadingTo('direct-call', 'native')).toEqual(native);
  });

  it('reaches it', () => {
    for (const stage of STAGES.slice(1)) {
      for (const guestType of ['native', 'xen', 'kvm', 'lguest', 'vmi', 'vsmp'] as const) {
        expect(stageReached(optimisationsLeadingTo(stage, guestType), guestType)).toBe(stage);
      }
    }
  });
});

describe('the order of optimisations', () => {
  it('lets a guest skip only what other guest types need', () => {
    const after = (name: Optimisation, guestType: 'native' | 'xen' | 'lguest') =>
      nextOptimisations(all.slice(0, all.indexOf(name) + 1), guestType);
    expect(nextOptimisations([], 'native')).toEqual(['identity']);
    expect(after('F4', 'native')).toEqual(['xen-direct-irq', 'lguest-vmcall', 'direct-call']);
    expect(after('F4', 'xen')).toEqual(['xen-direct-irq']);
    expect(after('F4', 'lguest')).toEqual(['xen-direct-irq', 'lguest-vmcall']);
    expect(after('direct-call', 'native')).toEqual([]);
  });

  it('knows no others', () => {
    expect(() => optimisationRow('F5')).toThrowError(expect.objectContaining({ code: 'patch/unknown-set' }));
  });
});
