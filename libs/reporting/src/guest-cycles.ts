import type { ColumnStore } from '@pvtrail/column-store';
import type { GuestId, RunId } from '@pvtrail/contracts';
import { costedGuests, kernelMetrics, type TrapRow, trapRows } from './kernel-metrics.js';

/** Estimated cycles of a guest's kernel without and with those of its hypervisor, and its traps by kind (definitions §4). */
export interface GuestCycles {
  readonly guestId: GuestId;
  readonly guestCycles: number;
  readonly hypervisorCycles: number;
  readonly totalCycles: number;
  readonly traps: readonly TrapRow[];
}

export const cyclesOfRun = async (store: ColumnStore, runId: RunId): Promise<GuestCycles[]> => {
  const counts = await store.comparison({ runs: [runId], by: ['guest'] });
  const guests = await costedGuests(store, [runId]);
  return guests.flatMap(({ guestId, costs }) => {
    const kernel = counts.find(({ guest, mode }) => guest === guestId && mode === 'kernel');
    if (kernel === undefined) return [];
    const { guestCycles, hypervisorCycles, totalCycles } = kernelMetrics(kernel, [], costs);
    return { guestId, guestCycles, hypervisorCycles, totalCycles, traps: trapRows(kernel, costs) };
  });
};
