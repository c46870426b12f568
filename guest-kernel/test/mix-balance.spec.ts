import { FOOTPRINTS, parseGuestSpec, WORKLOADS } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { observe } from './observed-guest.js';
import { NATIVE_KERNELS } from './stage-image.js';

const stage = 'nopv';
const singles = WORKLOADS.filter((workload) => workload !== 'mix');

const mixes = NATIVE_KERNELS.flatMap((kernel) => FOOTPRINTS.map((footprint) => ({ ...kernel, footprint })));

describe.each(mixes)('an iteration of the $footprint mix of $folder', ({ bits, paging, footprint }) => {
  it('gives every workload an equal share of the kernel instructions, within 15 %', () => {
    const { mixIterations } = parseGuestSpec({ stage, bits, paging, workload: 'mix', footprint });
    const shares = singles.map((workload) => {
      const { kernelInstructions } = observe({ stage, bits, paging, workload, footprint });
      return { workload, instructions: kernelInstructions * mixIterations[workload] };
    });
    const mean = shares.reduce((sum, { instructions }) => sum + instructions, 0) / shares.length;
    expect(shares.filter(({ instructions }) => Math.abs(instructions / mean - 1) > 0.15)).toEqual([]);
  });
});
