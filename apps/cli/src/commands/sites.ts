import { AppError } from '@pvtrail/primitives';
import type { SiteRow } from '@pvtrail/reporting';
import type { Command } from 'commander';
import type { CommandContext } from '../context.js';
import { fleetOf, type GuestOptions, withGuestOptions } from '../guest-options.js';
import { siteTable } from '../sites.js';

interface SitesOptions extends GuestOptions {
  readonly op?: string;
  readonly function?: string;
  readonly outcome?: string;
  readonly json?: boolean;
}

const wanted =
  ({ op, function: name, outcome }: SitesOptions) =>
  (site: SiteRow): boolean =>
    (op === undefined || site.op === op) &&
    (name === undefined || site.function === name) &&
    (outcome === undefined || site.outcome === outcome);

export const addSites = (program: Command, context: () => CommandContext): void => {
  withGuestOptions(program.command('sites'))
    .description('every call site of a guest: its bytes before and after patching, how and why, and how often it ran')
    .option('--op <name>', 'only sites of this op, as irq.save_fl')
    .option('--function <name>', 'only sites in this function')
    .option('--outcome <name>', 'only sites that ended so: inline, nop, direct-call, direct-jump, unchanged, ud2')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .addHelpText(
      'after',
      '\nThe guest is computed when it is not stored.\nExample: pvtrail sites --stage v2.6.29 --op irq.save_fl',
    )
    .action(async (options: SitesOptions) => {
      const { note, print, withPvtrail } = context();
      const fleet = fleetOf(options);
      await withPvtrail(async (pvtrail) => {
        const { runId, guests, resumed } = await pvtrail.compute(fleet, false);
        if (resumed === 0) note('the guest was not stored: it has been computed');
        const [guest] = guests;
        if (guest === undefined) throw new AppError('input/not-found', 'the fleet has no guest');
        const all = await pvtrail.answers.sites(guest.guestId);
        const sites = all.filter(wanted(options));
        print(options.json, { runId, guestId: guest.guestId, sites }, () =>
          sites.length === 0
            ? `${all.length} call sites, none of these${all.length === 0 ? ': a nopv kernel has its operations inline' : ''}\n`
            : siteTable(sites, guest.bits),
        );
      });
    });
};
