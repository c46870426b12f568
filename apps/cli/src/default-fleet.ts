import {
  type FleetSpec,
  FOOTPRINTS,
  parseFleetSpec,
  STAGES,
  type Stage,
  WORKLOADS,
  type Workload,
} from '@pvtrail/contracts';

/**
 * Iterations counted. Hot: native nopv executes about a million kernel instructions, three of the mix. Mixed, and under a fast
 * timer, most instructions are the program's own; their number is what these bound.
 */
const ITERATIONS: Readonly<Record<'hot' | 'mixed', Readonly<Record<Workload, number>>>> = {
  hot: { nullsyscall: 25, pagefault: 12, fork: 16, mmap: 10, ctxswitch: 12, timer: 2, spinlock: 22, mix: 2 },
  mixed: { nullsyscall: 1, pagefault: 3, fork: 8, mmap: 4, ctxswitch: 2, timer: 2, spinlock: 9, mix: 1 },
};

/** Stages whose guests take turns: each keeps a guest worker at its own text. */
const STAGES_AT_ONCE = 2;

const groupsOf = (stages: readonly Stage[]): Stage[][] =>
  Array.from({ length: Math.ceil(stages.length / STAGES_AT_ONCE) }, (_, group) =>
    stages.slice(group * STAGES_AT_ONCE, (group + 1) * STAGES_AT_ONCE),
  );

/** Guest types that have a fleet of their own. */
export const FLEET_TYPES = ['native', 'xen'] as const;
export type FleetType = (typeof FLEET_TYPES)[number];

/** Every stage of a guest with every workload, hot and mixed; the zero of overheads, `nopv`, is native. */
export const defaultFleet = (type: FleetType = 'native', bits: 32 | 64 = 64): FleetSpec =>
  parseFleetSpec({
    guests: groupsOf(STAGES).flatMap((stages) =>
      WORKLOADS.flatMap((workload) =>
        FOOTPRINTS.flatMap((footprint) =>
          stages.map((stage) => ({
            type: stage === 'nopv' ? 'native' : type,
            bits,
            stage,
            workload,
            footprint,
            iterations: ITERATIONS[footprint][workload],
          })),
        ),
      ),
    ),
  });
