import { parseGuestSpec } from '@pvtrail/contracts';
import { TRAP_KINDS } from '@pvtrail/trace';
import { describe, expect, it } from 'vitest';
import { cycleCostsOf } from '../src/cost-model.js';
import { metricsOf } from '../src/metrics.js';
import { catalogueWith, type Executed, execute } from './guest-code.js';

const XEN = cycleCostsOf(parseGuestSpec({ type: 'xen', stage: 'v2.6.30', workload: 'fork' }));
const SYSCALL = '0f05';
/** Two bytes of a store, which is where a table is written or a page is missing. */
const STORE = '488907eb00';

const of = (executed: readonly Executed[]) => {
  const unit = execute(catalogueWith({}), executed);
  return { unit, metrics: metricsOf(unit, 'kernel', XEN) };
};

/** Every kind of trap, in a trace made by hand: what ran before it, and how often it comes. */
const TRACE: readonly Executed[] = [
  { at: 0, code: SYSCALL, trap: TRAP_KINDS.hypercall },
  { at: 2, code: SYSCALL, trap: TRAP_KINDS.hypercall },
  { at: 4, code: SYSCALL, trap: TRAP_KINDS['multicall-entry'] },
  { at: 6, code: STORE, retired: 0, trap: TRAP_KINDS['emulated-write'] },
  { at: 6, code: STORE },
  { at: 11, code: '0f22c0', trap: TRAP_KINDS['emulated-instruction'] },
  { at: 14, code: STORE, retired: 0, trap: TRAP_KINDS.exception },
  { at: 0x20, code: SYSCALL, user: true, trap: TRAP_KINDS['system-call'] },
  { at: 0x40, code: 'eb00', user: true, trap: TRAP_KINDS.upcall },
];

describe('traps to the hypervisor', () => {
  it('are counted by kind', () => {
    expect(of(TRACE).unit.events).toEqual([
      { kind: 'trap', number: 1, count: 2 },
      ...[2, 3, 4, 5, 6, 7].map((number) => ({ kind: 'trap', number, count: 1 })),
    ]);
    expect(of(TRACE).metrics.traps).toBe(8);
  });

  it('cost what definitions §4 says, beside the guest’s own cycles', () => {
    const { metrics } = of(TRACE);
    expect(metrics.hypervisorCycles).toBe(2 * 500 + 100 + 3000 + 2500 + 1000 + 500 + 1000);
    expect(metrics.totalCycles).toBe(metrics.guestCycles + metrics.hypervisorCycles);
    const untrapped = of(
      TRACE.map(({ trap: _, ...executed }) => executed).filter(({ retired }) => retired === undefined),
    );
    expect(untrapped.metrics.hypervisorCycles).toBe(0);
    expect(untrapped.metrics.instructions).toBe(metrics.instructions);
  });

  it('do not let a branch be scored that an upcall follows', () => {
    const branch = { at: 0, code: '7402' };
    const handler = { at: 0x40, code: 'c3' };
    const counts = (trap?: number) =>
      of([trap === undefined ? branch : { ...branch, trap }, handler]).unit.totals.kernel;
    expect(counts(TRAP_KINDS.upcall)).toMatchObject({ unscoredBranches: 1, conditionalMispredictions: 0 });
    expect(counts()).toMatchObject({ unscoredBranches: 0, conditionalMispredictions: 1 });
  });
});
