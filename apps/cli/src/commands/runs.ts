import type { RunStatus } from '@pvtrail/api';
import { parseInput, runIdSchema } from '@pvtrail/contracts';
import type { Command } from 'commander';
import { compactTable } from '../compact-table.js';
import type { CommandContext } from '../context.js';

const runsTable = (runs: readonly RunStatus[]): string => {
  const table = compactTable(['run', 'label', 'state', 'guests', 'done', 'failed', 'requested']);
  for (const { runId, label, state, guests, done, failed, requestedAt } of runs) {
    table.push([runId, label, state, guests, done, failed, requestedAt]);
  }
  return `${table.toString()}\n`;
};

export const addRuns = (program: Command, context: () => CommandContext): void => {
  program
    .command('runs')
    .description('the runs of a server (--server), the newest request first')
    .option('--limit <n>', 'how many', '20')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .action(async ({ limit, json }: { limit: string; json?: boolean }) => {
      const { print, server } = context();
      const answer = await server().get<{ runs: RunStatus[] }>('/v1/runs', { limit });
      print(json, answer, () => runsTable(answer.runs));
    });
};

export const addCancel = (program: Command, context: () => CommandContext): void => {
  program
    .command('cancel')
    .description('cancel a run of a server (--server): guests that have not begun will not')
    .argument('<run>', 'a run id, as `pvtrail runs` prints it')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const { print, server } = context();
      const status = await server().delete<RunStatus>(`/v1/runs/${parseInput(runIdSchema, id)}`);
      print(
        json,
        status,
        () => `run ${status.runId} is cancelled; ${status.done} of ${status.guests} guests were done\n`,
      );
    });
};
