import { type FleetSpec, parseFleetSpec, STAGES, WORKLOADS } from '@pvtrail/contracts';

/** Every stage of a native 64-bit guest with every workload, hot and mixed. */
export const defaultFleet = (): FleetSpec =>
  parseFleetSpec({
    guests: STAGES.flatMap((stage) =>
      WORKLOADS.flatMap((workload) =>
        (['hot', 'mixed'] as const).map((footprint) => ({ type: 'native', bits: 64, stage, workload, footprint })),
      ),
    ),
  });
