import type { GuestSpec } from '@pvtrail/contracts';
import type { TrapKind } from '@pvtrail/trace';
import type { SystemClass } from '@pvtrail/x86';

/**
 * Cycles of the guest's own work, and of traps to its hypervisor. A privileged instruction costs its figure instead of `instruction`; an
 * L2 miss costs `l1Miss` too.
 */
export interface CycleCosts {
  readonly instruction: number;
  readonly nop: number;
  readonly l1Miss: number;
  readonly l2Miss: number;
  readonly misprediction: number;
  readonly privileged: Readonly<Record<SystemClass, number>>;
  readonly traps: Readonly<Record<TrapKind, number>>;
}

/**
 * Cycles of instructions that an average does not describe. All are *assumptions* of the order of magnitude seen on processors of
 * 2009: for none of them is a figure of a published table at hand. Serialising instructions are taken at 50 to 150 cycles, entry
 * and exit of the kernel at 45 to 90; `in`, `out`, `hlt` and hypervisor calls cost what waits behind them, which is not simulated.
 */
export const ASSUMED_PRIVILEGED_CYCLES: Readonly<Record<SystemClass, number>> = {
  cli: 8,
  sti: 8,
  pushf: 3,
  popf: 20,
  'read-cr': 20,
  'write-cr0': 80,
  'write-cr3': 150,
  'write-cr4': 100,
  'write-cr': 30,
  'move-dr': 30,
  clts: 60,
  lmsw: 60,
  smsw: 5,
  invlpg: 120,
  wbinvd: 2000,
  rdmsr: 80,
  wrmsr: 120,
  rdtsc: 24,
  cpuid: 120,
  in: 0,
  out: 0,
  hlt: 0,
  iret: 80,
  int: 90,
  syscall: 45,
  sysret: 45,
  sysenter: 45,
  sysexit: 45,
  swapgs: 12,
  'load-descriptor-table': 50,
  'store-descriptor-table': 10,
  'load-segment': 10,
  'far-transfer': 40,
  'vm-call': 0,
};

/** What one entry into the hypervisor and back costs. */
const hypercallCycles = ({ type, bits, costs }: Costed): number => {
  switch (type) {
    case 'xen':
      return bits === 64 ? costs.xen64Hypercall : costs.xen32Hypercall;
    case 'kvm':
      return costs.kvmExit;
    case 'lguest':
      return costs.lguestHypercall;
    default:
      return 0;
  }
};

type Costed = Pick<GuestSpec, 'type' | 'bits' | 'costs'>;

/**
 * definitions §4 names a cost for each kind but two (*assumptions*): a system call passes through the hypervisor as a hypercall does,
 * and an exception is injected as an event is.
 */
const trapCyclesOf = (guest: Costed): CycleCosts['traps'] => ({
  hypercall: hypercallCycles(guest),
  'multicall-entry': guest.costs.multicallEntry,
  'emulated-write': guest.costs.emulatedTableWrite,
  'emulated-instruction': guest.costs.otherEmulation,
  exception: guest.costs.eventInjection,
  'system-call': hypercallCycles(guest),
  upcall: guest.costs.eventInjection,
});

/** The costs that a guest's specification names; privileged instructions at their assumed cost. */
export const cycleCostsOf = (guest: Costed): CycleCosts => {
  const { instruction, nop, l1Miss, l2Miss, misprediction } = guest.costs;
  return {
    instruction,
    nop,
    l1Miss,
    l2Miss,
    misprediction,
    privileged: ASSUMED_PRIVILEGED_CYCLES,
    traps: trapCyclesOf(guest),
  };
};

/**
 * The same costs with everything that is estimated multiplied. The cost of an ordinary instruction and of a nop stays: were all
 * costs multiplied, every ratio would stay the same, and the variant would test nothing.
 */
export const scaleCosts = (costs: CycleCosts, factor: number): CycleCosts => ({
  ...costs,
  l1Miss: costs.l1Miss * factor,
  l2Miss: costs.l2Miss * factor,
  misprediction: costs.misprediction * factor,
  privileged: scaled(costs.privileged, factor),
  traps: scaled(costs.traps, factor),
});

const scaled = <K extends string>(cycles: Readonly<Record<K, number>>, factor: number): Record<K, number> =>
  Object.fromEntries(Object.entries<number>(cycles).map(([kind, value]) => [kind, value * factor])) as Record<
    K,
    number
  >;
