import { parseGuestSpec } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { cycleCostsOf, DEFAULT_CYCLE_COSTS } from './cost-model.js';
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

describe('guestCycles', () => {
  it('charges a privileged instruction its own figure instead of the average', () => {
    const counts = { ...noCounts(), instructions: 100, nops: 20 };
    const cli = [{ kind: 'cli', count: 10 }];
    expect(guestCycles(counts, cli)).toBeCloseTo(70 * 0.4 + 20 * 0.25 + 10 * DEFAULT_CYCLE_COSTS.privileged.cli, 9);
  });

  it('charges an L2 miss on top of the L1 miss that led to it', () => {
    const counts = { ...noCounts(), l1iMisses: 1, l1dMisses: 2, l2InstructionMisses: 1, l2DataMisses: 1 };
    expect(guestCycles(counts, [])).toBe(3 * 12 + 2 * 200);
  });

  it('charges all three kinds of misprediction', () => {
    const counts = { ...noCounts(), conditionalMispredictions: 1, indirectMispredictions: 2, returnMispredictions: 3 };
    expect(guestCycles(counts, [])).toBe(6 * 15);
  });

  it('halves and doubles what is estimated and keeps the cost of instructions', () => {
    const counts = { ...noCounts(), instructions: 10, l1dMisses: 1 };
    expect(cycleRange(counts, [])).toEqual({ half: 4 + 6, stated: 4 + 12, double: 4 + 24 });
  });

  it('is the same for a sum of units as the sum over units', () => {
    const unit = {
      ...emptyUnit(),
      totals: { kernel: { ...noCounts(), instructions: 5, l1iMisses: 2 }, user: noCounts() },
    };
    const whole = metricsOf(addUnits(unit, unit), 'kernel');
    expect(whole.guestCycles).toBe(2 * metricsOf(unit, 'kernel').guestCycles);
  });
});

describe('cycleCostsOf', () => {
  it('gives the default costs for a guest that names none', () => {
    expect(cycleCostsOf(parseGuestSpec({ stage: 'v2.6.29', workload: 'fork' }).costs)).toEqual(DEFAULT_CYCLE_COSTS);
  });
});

describe('conclusionFlips', () => {
  it('is true when cheaper misses make the other one cheaper', () => {
    const manyInstructions = cycleRange({ ...noCounts(), instructions: 50 }, []);
    const manyMisses = cycleRange({ ...noCounts(), l1dMisses: 2 }, []);
    expect(conclusionFlips(manyInstructions, manyMisses)).toBe(true);
  });

  it('is false when one is cheaper at any cost', () => {
    const less = cycleRange({ ...noCounts(), instructions: 50, l1dMisses: 1 }, []);
    const more = cycleRange({ ...noCounts(), instructions: 51, l1dMisses: 2 }, []);
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
    expect(metricsOf(unit, 'kernel').savesAndRestores).toBe(15);
    expect(metricsOf(unit, 'kernel')['savesAndRestores.thunk']).toBe(3);
    expect(metricsOf(unit, 'user').savesAndRestores).toBe(0);
  });
});

describe('hypervisorCycles', () => {
  it('charges traps only', () => {
    const events = [
      { kind: 'trap', number: 1, count: 3 },
      { kind: 'exception', number: 1, count: 5 },
    ] as const;
    expect(hypervisorCycles(events, new Map([[1, 500]]))).toBe(1500);
  });
});

describe('repShare', () => {
  it('is a share of all data references', () => {
    expect(repShare({ ...noCounts(), dataReads: 6, dataWrites: 4, repReferences: 2 })).toBe(0.2);
    expect(repShare(noCounts())).toBe(0);
  });
});
