import type { Command } from 'commander';
import { computeRun, runDocument, runTable } from '../computed-run.js';
import type { CommandContext } from '../context.js';
import { footprintDocument, footprintTable } from '../footprints.js';
import { fleetOf, type GuestOptions, withGuestOptions } from '../guest-options.js';

export const addRun = (program: Command, context: () => CommandContext): void => {
  withGuestOptions(program.command('run'))
    .description('compute one guest; shown, not recomputed, when it is stored already')
    .option('--force', 'compute again what is stored')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .addHelpText('after', '\nExample: pvtrail run --stage v2.6.29 --workload fork --iterations 20')
    .action(async (options: GuestOptions & { force?: boolean; json?: boolean }) => {
      const { print, withSystem } = context();
      await withSystem(async (system) => {
        const run = await computeRun(system, fleetOf(options), options.force ?? false);
        const footprints = await system.store.footprints(run.plan.runId);
        print(
          options.json,
          { ...runDocument(run), footprints: footprints.map(footprintDocument) },
          () => `${runTable(run)}${footprintTable(footprints)}`,
        );
      });
    });
};
