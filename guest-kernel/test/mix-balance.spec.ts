import { FOOTPRINTS, parseGuestSpec, WORKLOADS } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { observe } from './observed-guest.js';

const stage = 'nopv';
const singles = WORKLOADS.filter((workload) => workload !== 'mix');

describe.each(FOOTPRINTS)('an iteration of the %s mix', (footprint) => {
  it('gives every workload an equal share of the kernel instructions, within 15 %', () => {
    const { mixIterations } = parseGuestSpec({ stage, workload: 'mix', footprint });
    const shares = singles.map((workload) => {
      const { kernelInstructions } = observe({ stage, workload, footprint });
      return { workload, instructions: kernelInstructions * mixIterations[workload] };
    });
    const mean = shares.reduce((sum, { instructions }) => sum + instructions, 0) / shares.length;
    expect(shares.filter(({ instructions }) => Math.abs(instructions / mean - 1) > 0.15)).toEqual([]);
  });
});
