import type { ColumnStore } from '@pvtrail/column-store';
import type { GuestId, RunId } from '@pvtrail/contracts';
import Table from 'cli-table3';
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

export const cycleTable = (rows: readonly GuestCycles[]): string =>
  rows
    .map(({ guestCycles, hypervisorCycles, totalCycles, traps }) => {
      const table = new Table({ style: { head: [], border: [] } });
      const [guest, hypervisor, total] = [guestCycles, hypervisorCycles, totalCycles].map(Math.round);
      table.push(['estimated cycles', `kernel ${guest}, hypervisor ${hypervisor}, together ${total}`]);
      const lines = traps.map(({ kind, count, cycles }) => `${kind} ${count} (${cycles} cycles)`);
      if (lines.length > 0) table.push(['traps to the hypervisor', lines.join('\n')]);
      return `${table.toString()}\n`;
    })
    .join('');
