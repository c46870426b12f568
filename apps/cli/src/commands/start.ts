import { type Command, Option } from 'commander';
import { runDocument } from '../computed-run.js';
import type { CommandContext } from '../context.js';
import { defaultFleet, FLEET_TYPES, type FleetType } from '../default-fleet.js';
import { reportText } from '../fleet-report.js';

interface StartOptions {
  readonly guest: FleetType;
  readonly bits: '32' | '64';
  readonly force?: boolean;
  readonly json?: boolean;
}

export const addStart = (program: Command, context: () => CommandContext): void => {
  program
    .command('start')
    .description(
      'compute the default fleet, native 64-bit guests of every stage with every workload, and say what the series did',
    )
    .addOption(new Option('--guest <type>', 'guests of this type instead').choices(FLEET_TYPES).default('native'))
    .addOption(new Option('--bits <bits>', 'guests of this bitness instead').choices(['64', '32']).default('64'))
    .option('--force', 'compute again what is stored')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .action(async ({ guest, bits, force, json }: StartOptions) => {
      const { print, withPvtrail } = context();
      await withPvtrail(async (pvtrail) => {
        const run = await pvtrail.compute(defaultFleet(guest, bits === '32' ? 32 : 64), force ?? false);
        const report = await pvtrail.answers.report(run.runId);
        print(json, { ...runDocument(run), ...report }, () => reportText(report));
      });
    });
};
