import { METRICS, type Metric } from '@pvtrail/analysis';
import { FOOTPRINTS, GUEST_TYPES, parseInput, runIdSchema, STAGES, type Stage, WORKLOADS } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import { type Between, type CompareFilter, SPLITS, type Split } from '@pvtrail/reporting';
import type { Command } from 'commander';
import { comparisonTable, metricTable } from '../comparison.js';
import type { CommandContext } from '../context.js';
import { contributionTable } from '../contributions.js';

interface CompareOptions {
  readonly run?: string[];
  readonly guest?: string;
  readonly bits?: string;
  readonly stage?: string;
  readonly workload?: string;
  readonly footprint?: string;
  readonly metric?: string;
  readonly between?: [string, string];
  readonly by: string;
  readonly limit: string;
  readonly json?: boolean;
}

const oneOf = <T extends string>(kind: string, names: readonly T[], value: string | undefined): T | undefined => {
  if (value === undefined) return undefined;
  const found = names.find((name) => name === value);
  if (found === undefined)
    throw new AppError('input/invalid', `unknown ${kind} '${value}'; valid: ${names.join(', ')}`);
  return found;
};

const stageOf = (name: string | undefined): Stage | undefined => {
  if (name === undefined) return undefined;
  const found = STAGES.find((stage) => stage === name);
  if (found === undefined)
    throw new AppError('input/unknown-stage', `unknown stage '${name}'; valid: ${STAGES.join(', ')}`);
  return found;
};

/** @throws AppError `input/*` naming the valid values */
const filterOf = (options: CompareOptions): CompareFilter => {
  const bits = oneOf('bitness', ['32', '64'], options.bits);
  const filter = {
    runs: options.run?.map((id) => parseInput(runIdSchema, id)),
    guest: oneOf('guest type', GUEST_TYPES, options.guest),
    bits: bits === undefined ? undefined : bits === '64' ? 64 : 32,
    stage: stageOf(options.stage),
    workload: oneOf('workload', WORKLOADS, options.workload),
    footprint: oneOf('footprint', FOOTPRINTS, options.footprint),
    metric: oneOf<Metric>('metric', METRICS, options.metric),
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as CompareFilter;
};

const betweenOf = ({ between, by, limit }: CompareOptions): Between | undefined => {
  if (between === undefined) return undefined;
  const [before, after] = between.map(stageOf);
  if (before === undefined || after === undefined || between.length !== 2) {
    throw new AppError('input/invalid', '--between takes two stages');
  }
  return { of: oneOf<Split>('kind of statistic', SPLITS, by) ?? 'op', before, after, limit: Number(limit) };
};

export const addCompare = (program: Command, context: () => CommandContext): void => {
  program
    .command('compare')
    .description('metrics of every stored guest, with overheads over native nopv and the share that each stage removed')
    .option('--run <id...>', 'only these runs; all stored ones otherwise')
    .option('--guest <type>', GUEST_TYPES.join(', '))
    .option('--bits <bits>', '32 or 64')
    .option('--stage <stage>', STAGES.join(', '))
    .option('--workload <name>', WORKLOADS.join(', '))
    .option('--footprint <name>', FOOTPRINTS.join(', '))
    .option('--metric <name>', `one metric: ${METRICS.join(', ')}`)
    .option('--between <stages...>', 'two stages: what changed from one to the other, most first')
    .option('--by <what>', `with --between: ${SPLITS.join(', ')}`, 'op')
    .option('--limit <n>', 'with --between: how many', '20')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .addHelpText(
      'after',
      '\nExamples:\n  pvtrail compare --workload mix --footprint hot\n  pvtrail compare --metric l2References\n' +
        '  pvtrail compare --workload mix --between v2.6.29 callee-save-pte --by function',
    )
    .action(async (options: CompareOptions) => {
      const { print, withPvtrail } = context();
      const filter = filterOf(options);
      const between = betweenOf(options);
      await withPvtrail(async ({ answers }) => {
        if (between !== undefined) {
          const rows = await answers.contributions(filter, between);
          print(options.json, { rows }, () => contributionTable(rows, between));
          return;
        }
        const rows = await answers.compare(filter);
        const { workload, footprint, metric } = filter;
        const single = workload !== undefined && footprint !== undefined;
        print(options.json, { rows }, () =>
          single && metric === undefined ? comparisonTable(rows) : metricTable(rows, metric ?? 'instructions'),
        );
      });
    });
};
