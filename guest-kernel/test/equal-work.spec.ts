import { FOOTPRINTS, WORKLOADS } from '@pvtrail/contracts';
import { STAGES } from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import { ONE_OF_EACH, observe, type Wanted } from './observed-guest.js';
import { NATIVE_KERNELS } from './stage-image.js';

/** A short walk of the program's own code and data keeps the mixed footprint's order of events and costs little. */
const SHORT_WALK = { userCodeBytes: 4 << 10, userDataBytes: 16 << 10, timerPeriod: 1000 };

const outcomesOf = (wanted: Omit<Wanted, 'stage'>) =>
  STAGES.map((stage) => {
    const { userPath, userMemory, userInstructions } = observe({
      ...wanted,
      stage,
      ...SHORT_WALK,
      mixIterations: ONE_OF_EACH,
    });
    return { stage, userPath, userMemory, userInstructions };
  });

const expectEqual = (outcomes: ReturnType<typeof outcomesOf>): void => {
  const [{ stage: _, ...first } = { stage: 'nopv' }] = outcomes;
  expect(outcomes).toEqual(STAGES.map((stage) => ({ stage, ...first })));
};

describe.each(FOOTPRINTS)('footprint %s', (footprint) => {
  it.each(WORKLOADS)('%s does the same for its program in all stages and ends with status 0', (workload) => {
    expectEqual(outcomesOf({ workload, footprint }));
  });

  it.each(NATIVE_KERNELS.filter(({ bits }) => bits === 32))(
    'the mix does the same for its program in all stages of $folder and ends with status 0',
    ({ bits, paging }) => expectEqual(outcomesOf({ workload: 'mix', footprint, bits, paging })),
  );
});

describe('2-level and PAE kernels', () => {
  it('do the same for their program: only the tables differ', () => {
    const [wide, narrow] = (['pae', '2level'] as const).map((paging) =>
      observe({ stage: 'nopv', bits: 32, paging, workload: 'mix', ...SHORT_WALK, mixIterations: ONE_OF_EACH }),
    );
    expect(narrow?.userPath).toBe(wide?.userPath);
    expect(narrow?.userInstructions).toBe(wide?.userInstructions);
  });
});
