import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { Guest } from '@pvtrail/guests';
import type { Stage } from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import { forEachUserPage } from './observed-guest.js';
import { bootParametersOf, imageOf } from './stage-image.js';

const emulator = loadEmulatorKernel();
const NO_EXECUTE = 1n << 63n;

/** Pages that user mode can reach when a workload has finished, by whether they may be executed. */
const pagesOf = (stage: Stage): { executable: number; protected: number } => {
  const pages = { executable: 0, protected: 0 };
  const guest = new Guest({
    image: imageOf(stage, 'native-32-pae'),
    machine: emulator,
    parameters: bootParametersOf({ stage: 'callee-save-pte', bits: 32, paging: 'pae', workload: 'fork' }),
    instructionBudget: 1e9,
  });
  guest.boot();
  for (let progress = guest.proceed(); progress.kind !== 'exited'; progress = guest.proceed()) {
    if (progress.kind === 'workload-finished')
      forEachUserPage(guest.machine, 'pae', (_path, entry) => {
        pages[(entry & NO_EXECUTE) === 0n ? 'executable' : 'protected']++;
      });
  }
  return pages;
};

// Defect B3 (domain.md §4.3): the sites forget the upper half of an entry, and with it the bit that forbids execution.
describe('the PAE kernel as P6 was posted', () => {
  const before = pagesOf('callee-save-irq');

  it('may execute every page of a program, where the stage before protects its data', () => {
    expect(before.protected).toBeGreaterThan(before.executable);
    expect(pagesOf('callee-save-pte-as-posted')).toEqual({
      executable: before.executable + before.protected,
      protected: 0,
    });
  });

  it.each(['callee-save-pte', 'v2.6.30'] as const)(
    'protects what the stage before protects once fixed: %s',
    (stage) => {
      expect(pagesOf(stage)).toEqual(before);
    },
  );
});
