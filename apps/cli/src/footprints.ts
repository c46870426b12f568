import { opsPerThousandInstructions } from '@pvtrail/analysis';
import type { FootprintRow } from '@pvtrail/column-store';
import Table from 'cli-table3';

/** How big and how varied the counted region of a guest was (definitions §3). */
export const footprintDocument = (row: FootprintRow) => ({
  guestId: row.guest,
  kernelInstructions: row.kernelInstructions,
  userInstructions: row.userInstructions,
  kernelTextBytes: row.kernelTextBytes,
  functions: row.functions,
  sites: row.sites,
  repReferencesPercent: row.dataReferences === 0 ? 0 : (100 * row.repReferences) / row.dataReferences,
  opsPerThousandInstructions: Object.fromEntries(opsOf(row)),
});

/** Busiest first. */
const opsOf = ({ executions, kernelInstructions }: FootprintRow): [string, number][] =>
  [
    ...opsPerThousandInstructions(
      Object.entries(executions).map(([op, count]) => ({ op, executions: count })),
      kernelInstructions,
    ),
  ].sort(([, a], [, b]) => b - a);

export const footprintTable = (rows: readonly FootprintRow[]): string =>
  rows
    .map((row) => {
      const table = new Table({ style: { head: [], border: [] } });
      table.push(
        ['counted region', `${row.kernelInstructions} kernel and ${row.userInstructions} user instructions`],
        [
          'executed',
          `${row.kernelTextBytes} bytes of kernel text, ${row.functions} functions, ${row.sites} call sites`,
        ],
        ['data references by rep', `${footprintDocument(row).repReferencesPercent.toFixed(1)} %`],
        [
          'ops per 1000 instructions',
          opsOf(row)
            .filter(([, rate]) => rate > 0)
            .map(([op, rate]) => `${op} ${rate.toFixed(2)}`)
            .join('\n') || 'none',
        ],
      );
      return `${table.toString()}\n`;
    })
    .join('');
