import { FOOTPRINTS, WORKLOADS } from '@pvtrail/contracts';
import { STAGES } from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import { observe } from './observed-guest.js';

/** A short walk of the program's own code and data keeps the mixed footprint's order of events and costs little. */
const SHORT_WALK = { userCodeBytes: 4 << 10, userDataBytes: 16 << 10, timerPeriod: 1000 };
const ONE_OF_EACH = { nullsyscall: 1, pagefault: 1, fork: 1, mmap: 1, ctxswitch: 1, timer: 1, spinlock: 1 };

describe.each(FOOTPRINTS)('footprint %s', (footprint) => {
  it.each(WORKLOADS)('%s does the same for its program in all stages and ends with status 0', (workload) => {
    const outcomes = STAGES.map((stage) => {
      const { userPath, userMemory, userInstructions } = observe({
        stage,
        workload,
        footprint,
        ...SHORT_WALK,
        mixIterations: ONE_OF_EACH,
      });
      return { stage, userPath, userMemory, userInstructions };
    });
    const [{ stage: _, ...first } = { stage: 'nopv' }] = outcomes;
    expect(outcomes).toEqual(STAGES.map((stage) => ({ stage, ...first })));
  });
});
