import { parseGuestSpec } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { ASSUMED_PRIVILEGED_CYCLES, cycleCostsOf } from './cost-model.js';
import {
  conclusionFlips,
  cycleRange,
  guestCycles,
  hypervisorCycles,
  metricsOf,
  overhead,
  repShare,
  shareRemoved,
} from './metrics.js';
import { addUnits, CAUSES, emptyUnit, noCounts } from './statistics.js';

const specOf = (guest: object) => parseGuestSpec({ stage: 'v2.6.29', workload: 'fork', ...guest });
const COSTS = cycleCostsOf(specOf({}));

describe('guestCycles', () => {
  it('charges a privileged instruction its own figure instead of the average', () => {
    const counts = { ...noCounts(), instructions: 100, nops: 20 };
    const cli = [{ kind: 'cli', count: 10 }];
    expect(guestCycles(counts, cli, COSTS)).toBeCloseTo(70 * 0.4 + 20 * 0.25 + 10 * ASSUMED_PRIVILEGED_CYCLES.cli, 9);
  });

  it('charges an L2 miss on top of the L1 miss that led to it', () => {
    const counts = { ...noCounts(), l1iMisses: 1, l1dMisses: 2, l2InstructionMisses: 1, l2DataMisses: 1 };
    expect(guestCycles(counts, [], COSTS)).toBe(3 * 12 + 2 * 200);
  });

  it('charges all three kinds of misprediction', () => {
    const counts = { ...noCounts(), conditionalMispredictions: 1, indirectMispredictions: 2, returnMispredictions: 3 };
    expect(guestCycles(counts, [], COSTS)).toBe(6 * 15);
  });

  it('halves and doubles what is estimated and keeps the cost of instructions', () => {
    const counts = { ...noCounts(), instructions: 10, l1dMisses: 1 };
    expect(cycleRange((costs) => guestCycles(counts, [], costs), COSTS)).toEqual({
      half: 4 + 6,
      stated: 4 + 12,
      double: 4 + 24,
    });
  });

  it('is the same for a sum of units as the sum over units', () => {
    const unit = {
      ...emptyUnit(),
      totals: { kernel: { ...noCounts(), instructions: 5, l1iMisses: 2 }, user: noCounts() },
    };
    const whole = metricsOf(addUnits(unit, unit), 'kernel', COSTS);
    expect(whole.guestCycles).toBe(2 * metricsOf(unit, 'kernel', COSTS).guestCycles);
  });
});

describe('cycleCostsOf', () => {
  it('prices an entry into the hypervisor by type and bitness', () => {
    const hypercall = (guest: object) => cycleCostsOf(specOf(guest)).traps.hypercall;
    expect(hypercall({ type: 'xen' })).toBe(500);
    expect(hypercall({ type: 'xen', bits: 32 })).toBe(300);
    expect(hypercall({ type: 'kvm' })).toBe(2000);
    expect(hypercall({ type: 'lguest', bits: 32 })).toBe(2500);
    expect(hypercall({})).toBe(0);
  });

  it('takes the costs that the guest names', () => {
    const { l2Miss, traps } = cycleCostsOf(specOf({ type: 'xen', costs: { l2Miss: 7, emulatedTableWrite: 8 } }));
    expect([l2Miss, traps['emulated-write']]).toEqual([7, 8]);
  });
});

describe('conclusionFlips', () => {
  const rangeOf = (counts: object) =>
    cycleRange((costs) => guestCycles({ ...noCounts(), ...counts }, [], costs), COSTS);

  it('is true when cheaper misses make the other one cheaper', () => {
    const manyInstructions = rangeOf({ instructions: 50 });
    const manyMisses = rangeOf({ l1dMisses: 2 });
    expect(conclusionFlips(manyInstructions, manyMisses)).toBe(true);
  });

  it('is false when one is cheaper at any cost', () => {
    const less = rangeOf({ instructions: 50, l1dMisses: 1 });
    const more = rangeOf({ instructions: 51, l1dMisses: 2 });
    expect(conclusionFlips(less, more)).toBe(false);
  });
});

describe('shareRemoved', () => {
  it('is the removed part of the overhead over nopv', () => {
    expect(shareRemoved(102, 108, 100)).toBe(0.75);
  });

  it('may be negative or more than all', () => {
    expect(shareRemoved(116, 108, 100)).toBe(-1);
    expect(shareRemoved(96, 108, 100)).toBe(1.5);
  });

  it('is not available when the overhead was below 0.1 % of nopv', () => {
    expect(shareRemoved(100_000, 100_099, 100_000)).toBeUndefined();
    expect(shareRemoved(100_000, 100_100, 100_000)).toBe(1);
    expect(shareRemoved(0, 0, 0)).toBeUndefined();
  });

  it('is available for negative overheads', () => {
    expect(shareRemoved(95, 90, 100)).toBe(0.5);
  });
});

describe('overhead', () => {
  it('has no percentage of nothing', () => {
    expect(overhead(3, 0)).toEqual({ absolute: 3, percent: undefined });
    expect(overhead(103, 100)).toEqual({ absolute: 3, percent: 3 });
  });
});

describe('metricsOf', () => {
  it('counts saves and restores of all causes for the kernel and none for user mode', () => {
    const unit = { ...emptyUnit(), perCause: CAUSES.map((cause) => ({ cause, saves: 2, restores: 1 })) };
    expect(metricsOf(unit, 'kernel', COSTS).savesAndRestores).toBe(15);
    expect(metricsOf(unit, 'kernel', COSTS)['savesAndRestores.thunk']).toBe(3);
    expect(metricsOf(unit, 'user', COSTS).savesAndRestores).toBe(0);
  });
});

describe('hypervisorCycles', () => {
  it('takes a trap of a kind without a price for an emulated instruction', () => {
    expect(hypervisorCycles([{ number: 99, count: 2 }], cycleCostsOf(specOf({ type: 'xen' })))).toBe(5000);
  });
});

describe('repShare', () => {
  it('is a share of all data references', () => {
    expect(repShare({ ...noCounts(), dataReads: 6, dataWrites: 4, repReferences: 2 })).toBe(0.2);
    expect(repShare(noCounts())).toBe(0);
  });
});
