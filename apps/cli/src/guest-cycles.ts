import type { GuestCycles } from '@pvtrail/reporting';
import Table from 'cli-table3';

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
