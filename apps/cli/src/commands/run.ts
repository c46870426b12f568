import { AppError } from '@pvtrail/primitives';
import type { Command } from 'commander';
import { runDocument, runTable } from '../computed-run.js';
import type { CommandContext } from '../context.js';
import { readFleet } from '../fleet-file.js';
import { footprintTable } from '../footprints.js';
import { cycleTable } from '../guest-cycles.js';
import { fleetOf, type GuestOptions, withGuestOptions } from '../guest-options.js';

export const addRun = (program: Command, context: () => CommandContext): void => {
  withGuestOptions(program.command('run'))
    .description('compute one guest or a fleet; shown, not recomputed, when it is stored already')
    .option('--fleet <file>', 'a fleet described in YAML or JSON (docs/fleets.md), instead of one guest by options')
    .option('--force', 'compute again what is stored')
    .option('--keep-trace', 'keep the trace chunks in DATA/traces/GUEST; they are dropped once analysed otherwise')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .addHelpText('after', '\nExample: pvtrail run --stage v2.6.29 --workload fork --iterations 20')
    .action(
      async (options: GuestOptions & { fleet?: string; force?: boolean; keepTrace?: boolean; json?: boolean }) => {
        const { isRemote, note, print, withPvtrail } = context();
        if (isRemote && options.keepTrace === true)
          throw new AppError('input/invalid', '--keep-trace keeps files on this machine: not with --server');
        const fleet = options.fleet === undefined ? fleetOf(options) : readFleet(options.fleet);
        await withPvtrail(async (pvtrail) => {
          const run = await pvtrail.compute(fleet, options.force ?? false);
          if (options.keepTrace === true && run.resumed > 0) {
            note('the guest was stored already and has not run: --force executes it again and keeps its trace');
          }
          const footprints = await pvtrail.answers.footprints(run.runId);
          const cycles = await pvtrail.answers.cycles(run.runId);
          print(
            options.json,
            { ...runDocument(run), footprints, cycles },
            () => `${runTable(run)}${footprintTable(footprints)}${cycleTable(cycles)}`,
          );
        }, options);
      },
    );
};
