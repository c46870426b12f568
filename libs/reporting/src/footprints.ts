import { opsPerThousandInstructions } from '@pvtrail/analysis';
import type { ColumnStore, FootprintRow } from '@pvtrail/column-store';
import type { RunId } from '@pvtrail/contracts';

/** How big and how varied the counted region of a guest was (definitions §3). */
export interface Footprint {
  readonly guestId: string;
  readonly kernelInstructions: number;
  readonly userInstructions: number;
  /** Distinct bytes of kernel text executed. */
  readonly kernelTextBytes: number;
  readonly functions: number;
  readonly sites: number;
  readonly repReferencesPercent: number;
  /** Busiest first. */
  readonly opsPerThousandInstructions: Readonly<Record<string, number>>;
}

export const footprintsOf = async (store: ColumnStore, runId: RunId): Promise<Footprint[]> =>
  (await store.footprints(runId)).map(footprintOf);

const footprintOf = (row: FootprintRow): Footprint => ({
  guestId: row.guest,
  kernelInstructions: row.kernelInstructions,
  userInstructions: row.userInstructions,
  kernelTextBytes: row.kernelTextBytes,
  functions: row.functions,
  sites: row.sites,
  repReferencesPercent: row.dataReferences === 0 ? 0 : (100 * row.repReferences) / row.dataReferences,
  opsPerThousandInstructions: Object.fromEntries(opsOf(row)),
});

const opsOf = ({ executions, kernelInstructions }: FootprintRow): [string, number][] =>
  [
    ...opsPerThousandInstructions(
      Object.entries(executions).map(([op, count]) => ({ op, executions: count })),
      kernelInstructions,
    ),
  ].sort(([, a], [, b]) => b - a);
