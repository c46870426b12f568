import { type FleetSpec, FOOTPRINTS, GUEST_TYPES, parseFleetSpec, STAGES, WORKLOADS } from '@pvtrail/contracts';
import type { Command } from 'commander';

/** The options that describe one guest. */
export interface GuestOptions {
  readonly guest: string;
  readonly bits: string;
  readonly paging?: string;
  readonly stage: string;
  readonly workload: string;
  readonly footprint: string;
  readonly iterations: string;
  readonly seed: string;
  readonly label: string;
  readonly maxInstructions?: string;
  readonly pvSpinlocks: boolean;
}

export const withGuestOptions = (command: Command): Command =>
  command
    .option('--guest <type>', GUEST_TYPES.join(', '), 'native')
    .option('--bits <bits>', '32 or 64', '64')
    .option('--paging <kind>', 'page tables of a 32-bit guest: pae or 2level (default: as its type had them)')
    .option('--stage <stage>', STAGES.join(', '), 'v2.6.30')
    .option('--workload <name>', WORKLOADS.join(', '), 'mix')
    .option('--footprint <name>', FOOTPRINTS.join(', '), 'hot')
    .option('--iterations <n>', 'iterations counted after one for warming up', '1')
    .option('--seed <n>', 'seed of everything random in the guest', '1')
    .option('--no-pv-spinlocks', 'a kernel whose spin locks are no ops, as an option made them in 2.6.31')
    .option('--max-instructions <n>', 'the guest has failed when it retires more')
    .option('--label <text>', 'sets apart runs that compute the same', '');

/** @throws AppError `input/*` naming the valid values */
export const fleetOf = (options: GuestOptions): FleetSpec =>
  parseFleetSpec({
    label: options.label,
    guests: [
      {
        type: options.guest,
        bits: Number(options.bits),
        ...(options.paging === undefined ? {} : { paging: options.paging }),
        stage: options.stage,
        workload: options.workload,
        footprint: options.footprint,
        iterations: Number(options.iterations),
        seed: Number(options.seed),
        pvSpinlocks: options.pvSpinlocks,
        ...(options.maxInstructions === undefined ? {} : { maxInstructions: Number(options.maxInstructions) }),
      },
    ],
  });
