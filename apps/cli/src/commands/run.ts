import type { Command } from 'commander';
import { computeRun, runDocument, runTable } from '../computed-run.js';
import type { CommandContext } from '../context.js';
import { footprintTable } from '../footprints.js';
import { cycleTable } from '../guest-cycles.js';
import { fleetOf, type GuestOptions, withGuestOptions } from '../guest-options.js';

export const addRun = (program: Command, context: () => CommandContext): void => {
  withGuestOptions(program.command('run'))
    .description('compute one guest; shown, not recomputed, when it is stored already')
    .option('--force', 'compute again what is stored')
    .option('--keep-trace', 'keep the trace chunks in DATA/traces/GUEST; they are dropped once analysed otherwise')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .addHelpText('after', '\nExample: pvtrail run --stage v2.6.29 --workload fork --iterations 20')
    .action(async (options: GuestOptions & { force?: boolean; keepTrace?: boolean; json?: boolean }) => {
      const { note, print, withSystem } = context();
      await withSystem(async (system) => {
        const run = await computeRun(system, fleetOf(options), options.force ?? false, note);
        if (options.keepTrace === true && run.resumed > 0) {
          note('the guest was stored already and has not run: --force executes it again and keeps its trace');
        }
        const footprints = await system.answers.footprints(run.runId);
        const cycles = await system.answers.cycles(run.runId);
        print(
          options.json,
          { ...runDocument(run), footprints, cycles },
          () => `${runTable(run)}${footprintTable(footprints)}${cycleTable(cycles)}`,
        );
      }, options);
    });
};
