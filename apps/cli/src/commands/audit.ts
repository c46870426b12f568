import { parseInput, runIdSchema } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import type { Audit } from '@pvtrail/reporting';
import type { Command } from 'commander';
import { compactTable } from '../compact-table.js';
import type { CommandContext } from '../context.js';

const auditTable = ({
  runId,
  clean,
  produced,
  received,
  committed,
  aggregated,
  openGuests,
  differences,
}: Audit): string => {
  const table = compactTable(['step', 'guests', 'chunks', 'instructions']);
  for (const [step, { guests, chunks, instructions }] of Object.entries({ produced, received, committed })) {
    table.push([step, guests, chunks, instructions]);
  }
  table.push(['aggregated (measured)', '', '', aggregated.instructions]);
  const lines = differences.map(
    ({ guestId, step, field, expected, found }) => `  guest ${guestId}: ${step} ${field}: ${found}, not ${expected}`,
  );
  const verdict = clean
    ? 'nothing is missing and nothing is twice'
    : `${differences.length} differences, ${openGuests} guests that have not ended`;
  return [`run ${runId}: ${verdict}`, ...lines, table.toString(), ''].join('\n');
};

export const addAudit = (program: Command, context: () => CommandContext): void => {
  program
    .command('audit')
    .description('compare what the guests of a run produced with what is stored of them; status 1 when they differ')
    .argument('<run>', 'a run id, as `pvtrail run` prints it')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const { print, withPvtrail } = context();
      const runId = parseInput(runIdSchema, id);
      const audit = await withPvtrail(({ answers }) => answers.audit(runId));
      print(json, audit, () => auditTable(audit));
      if (!audit.clean) throw new AppError('run/failed', `run ${runId} is not stored as it was produced`);
    });
};
