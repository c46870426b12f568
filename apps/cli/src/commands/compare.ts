import { METRICS, type Metric } from '@pvtrail/analysis';
import type { ColumnStore, GuestFilter } from '@pvtrail/column-store';
import {
  FOOTPRINTS,
  GUEST_TYPES,
  parseInput,
  type RunId,
  runIdSchema,
  STAGES,
  type Stage,
  WORKLOADS,
} from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import type { Command } from 'commander';
import { type ComparisonRow, compareRuns, comparisonTable, metricTable } from '../comparison.js';
import type { CommandContext } from '../context.js';
import { contributionsBy, contributionTable, SPLITS, type Split } from '../contributions.js';

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

const filterOf = (runs: readonly RunId[], options: CompareOptions): GuestFilter => {
  const type = oneOf('guest type', GUEST_TYPES, options.guest);
  const workload = oneOf('workload', WORKLOADS, options.workload);
  const footprint = oneOf('footprint', FOOTPRINTS, options.footprint);
  const bits = oneOf('bitness', ['32', '64'], options.bits);
  return {
    runs,
    ...(type === undefined ? {} : { types: [type] }),
    ...(bits === undefined ? {} : { bits: bits === '64' ? 64 : 32 }),
    ...(workload === undefined ? {} : { workloads: [workload] }),
    ...(footprint === undefined ? {} : { footprints: [footprint] }),
  };
};

const runsOf = async (store: ColumnStore, ids: readonly string[] | undefined): Promise<RunId[]> =>
  ids?.map((id) => parseInput(runIdSchema, id)) ?? (await store.runs()).map(({ runId }) => runId);

const requireRows = <T>(rows: readonly T[]): readonly T[] => {
  if (rows.length > 0) return rows;
  throw new AppError('input/not-found', 'nothing is stored for this; `npm start` computes the default fleet');
};

const requireStages = async (store: ColumnStore, filter: GuestFilter, stages: readonly Stage[]): Promise<void> => {
  const stored = await store.comparison({ ...filter, stages, by: ['stage'] });
  const missing = stages.filter((stage) => !stored.some((row) => row.stage === stage));
  if (missing.length === 0) return;
  throw new AppError(
    'input/not-found',
    `no such guest of ${missing.join(' and ')} is stored; \`pvtrail run\` computes it`,
  );
};

const matches =
  ({ guest, bits, stage, workload, footprint, metric }: CompareOptions) =>
  (row: ComparisonRow): boolean =>
    (guest === undefined || row.guest === guest) &&
    (bits === undefined || row.bits === Number(bits)) &&
    (stage === undefined || row.stage === stage) &&
    (workload === undefined || row.workload === workload) &&
    (footprint === undefined || row.footprint === footprint) &&
    (metric === undefined || row.metric === metric);

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
      const { print, withSystem } = context();
      const metric = oneOf<Metric>('metric', METRICS, options.metric);
      const stage = stageOf(options.stage);
      await withSystem(async ({ store }) => {
        const filter = filterOf(await runsOf(store, options.run), options);
        if (options.between !== undefined) {
          const [before, after] = options.between.map(stageOf);
          if (before === undefined || after === undefined || options.between.length !== 2) {
            throw new AppError('input/invalid', '--between takes two stages');
          }
          const of = oneOf<Split>('kind of statistic', SPLITS, options.by) ?? 'op';
          await requireStages(store, filter, [before, after]);
          const rows = await contributionsBy(store, filter, { of, before, after, limit: Number(options.limit) });
          print(options.json, { rows }, () => contributionTable(rows, { of, before, after }));
          return;
        }
        const rows = requireRows(
          (await compareRuns(store, filter.runs)).filter(matches({ ...options, ...(stage && { stage }) })),
        );
        const single = options.workload !== undefined && options.footprint !== undefined;
        print(options.json, { rows }, () =>
          single && metric === undefined ? comparisonTable(rows) : metricTable(rows, metric ?? 'instructions'),
        );
      });
    });
};
