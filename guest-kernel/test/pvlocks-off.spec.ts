import { describe, expect, it } from 'vitest';
import { observe } from './observed-guest.js';
import { catalogueAt } from './stage-image.js';

const KERNELS = [
  { folder: 'native-64', bits: 64 },
  { folder: 'native-32-pae', bits: 32 },
] as const;

describe.each(KERNELS)('a kernel of $folder whose spin locks are no ops', ({ folder, bits }) => {
  const instructions = (stage: 'nopv' | 'v2.6.29' | 'v2.6.30', pvSpinlocks: boolean): number =>
    observe({ stage, bits, workload: 'mmap', pvSpinlocks }).kernelInstructions;

  it.each(['v2.6.29', 'v2.6.30'] as const)('has at %s all call sites but those of locks', (stage) => {
    const ops = (of: string = folder) => catalogueAt(stage, of).sites.map(({ function: name, op }) => `${name} ${op}`);
    const withoutLocks = ops().filter((site) => !site.includes(' lock.'));
    expect(ops(`${folder}-pvlocks-off`).sort()).toEqual(withoutLocks.sort());
    expect(withoutLocks.length).toBeLessThan(ops().length);
  });

  it('executes as nopv what the other nopv does, and as v2.6.30 has less overhead', () => {
    const nopv = instructions('nopv', true);
    expect(instructions('nopv', false)).toBe(nopv);
    expect(instructions('v2.6.30', false)).toBeGreaterThan(nopv);
    expect(instructions('v2.6.30', false)).toBeLessThan(instructions('v2.6.30', true));
  });
});
