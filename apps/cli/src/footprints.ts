import type { Footprint } from '@pvtrail/reporting';
import Table from 'cli-table3';

export const footprintTable = (rows: readonly Footprint[]): string =>
  rows
    .map((row) => {
      const table = new Table({ style: { head: [], border: [] } });
      table.push(
        ['counted region', `${row.kernelInstructions} kernel and ${row.userInstructions} user instructions`],
        [
          'executed',
          `${row.kernelTextBytes} bytes of kernel text, ${row.functions} functions, ${row.sites} call sites`,
        ],
        ['data references by rep', `${row.repReferencesPercent.toFixed(1)} %`],
        [
          'ops per 1000 instructions',
          Object.entries(row.opsPerThousandInstructions)
            .filter(([, rate]) => rate > 0)
            .map(([op, rate]) => `${op} ${rate.toFixed(2)}`)
            .join('\n') || 'none',
        ],
      );
      return `${table.toString()}\n`;
    })
    .join('');
