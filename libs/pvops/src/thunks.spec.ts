import { expect, it } from 'vitest';
import { compilerAssumesLost } from './compiler-clobbers.js';
import { pvopNamed } from './pvop-catalogue.js';
import { optimisationsAt } from './stages.js';
import { thunkOf } from './thunks.js';

it('F2 alone takes EDX out of 32-bit thunks, and F3 alone tells the C site of it', () => {
  const posted = optimisationsAt('callee-save-pte-as-posted', 'pae');
  const f2 = new Set([...posted, 'F2'] as const);
  const f3 = new Set([...posted, 'F3'] as const);
  const lost = (code: typeof posted) => compilerAssumesLost(pvopNamed('mmu.pte_val'), 'pae', code);
  expect([thunkOf(32, f2).saves, lost(f2)]).toEqual([['ecx'], ['eax']]);
  expect([thunkOf(32, f3).saves, lost(f3)]).toEqual([
    ['ecx', 'edx'],
    ['eax', 'edx'],
  ]);
});
