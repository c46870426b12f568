import fs from 'node:fs';
import {
  type AnyEvent,
  FOOTPRINTS,
  fromMessage,
  GUEST_TYPES,
  parseFleetSpec,
  parseInput,
  runIdSchema,
  STAGES,
  TOPICS,
  WORKLOADS,
} from '@pvtrail/contracts';
import { openSqliteLogReader } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { Command, CommanderError } from 'commander';
import { compareRuns, comparisonTable } from './comparison.js';
import { defaultFleet } from './default-fleet.js';
import { type EmbeddedSystem, openEmbeddedSystem } from './embedded-system.js';
import { computeRun, runDocument, runTable } from './run-command.js';
import { verificationTable, verifyFiles } from './verify-command.js';

const print = (json: boolean, document: unknown, table: () => string): void => {
  process.stdout.write(json ? `${JSON.stringify(document, null, 2)}\n` : table());
};

const withSystem = async (dataFolder: string, action: (system: EmbeddedSystem) => Promise<void>): Promise<void> => {
  const system = await openEmbeddedSystem({ dataFolder, guestWorkers: 1, analysisWorkers: 1 });
  try {
    await action(system);
  } finally {
    await system.close();
  }
};

const program = new Command('pvtrail')
  .description(
    'What the 2009 pvops series did to register saves, instructions, cache references and cycles, from real machine code',
  )
  .option('--data <folder>', 'where events and statistics are kept', process.env.PVTRAIL_DATA ?? '.pvtrail')
  .showHelpAfterError()
  .exitOverride();

const dataFolder = (): string => program.opts<{ data: string }>().data;

interface RunOptions {
  readonly guest: string;
  readonly bits: string;
  readonly stage: string;
  readonly workload: string;
  readonly footprint: string;
  readonly iterations: string;
  readonly seed: string;
  readonly label: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

program
  .command('run')
  .description('compute one guest; shown, not recomputed, when it is stored already')
  .option('--guest <type>', GUEST_TYPES.join(', '), 'native')
  .option('--bits <bits>', '32 or 64', '64')
  .option('--stage <stage>', STAGES.join(', '), 'v2.6.30')
  .option('--workload <name>', WORKLOADS.join(', '), 'mix')
  .option('--footprint <name>', FOOTPRINTS.join(', '), 'hot')
  .option('--iterations <n>', 'iterations counted after one for warming up', '1')
  .option('--seed <n>', 'seed of everything random in the guest', '1')
  .option('--label <text>', 'sets apart runs that compute the same', '')
  .option('--force', 'compute again what is stored')
  .option('--json', 'one JSON document on stdout (docs/cli.md)')
  .action(async (options: RunOptions) => {
    const { guest, stage, workload, footprint, label } = options;
    const fleet = parseFleetSpec({
      label,
      guests: [
        {
          type: guest,
          bits: Number(options.bits),
          stage,
          workload,
          footprint,
          iterations: Number(options.iterations),
          seed: Number(options.seed),
        },
      ],
    });
    await withSystem(dataFolder(), async (system) => {
      const run = await computeRun(system, fleet, options.force ?? false);
      print(options.json ?? false, runDocument(run), () => runTable(run));
    });
  });

program
  .command('start')
  .description('compute the default fleet: native 64-bit guests of every stage with every workload')
  .option('--force', 'compute again what is stored')
  .option('--json', 'one JSON document on stdout (docs/cli.md)')
  .action(async ({ force, json }: { force?: boolean; json?: boolean }) => {
    await withSystem(dataFolder(), async (system) => {
      const run = await computeRun(system, defaultFleet(), force ?? false);
      const rows = await compareRuns(system.store, [run.plan.runId]);
      print(json ?? false, { ...runDocument(run), rows }, () => comparisonTable(rows));
    });
  });

program
  .command('compare')
  .description('metrics of every stored guest, with overheads over native nopv and the share that each stage removed')
  .option('--run <id...>', 'only these runs; all stored ones otherwise')
  .option('--json', 'one JSON document on stdout (docs/cli.md)')
  .action(async ({ run, json }: { run?: string[]; json?: boolean }) => {
    await withSystem(dataFolder(), async ({ store }) => {
      const runs = run?.map((id) => parseInput(runIdSchema, id)) ?? (await store.runs()).map(({ runId }) => runId);
      const rows = await compareRuns(store, runs);
      if (rows.length === 0)
        throw new AppError(
          'input/not-found',
          'nothing is stored for these runs; `npm start` computes the default fleet',
        );
      print(json ?? false, { rows }, () => comparisonTable(rows));
    });
  });

program
  .command('verify')
  .description('check chunk files: structure, digests, counts, continuity of control flow and of the chunks of a guest')
  .argument('<file...>', 'files that hold chunks, in any order')
  .option('--json', 'one JSON document on stdout (docs/cli.md)')
  .action((files: string[], { json }: { json?: boolean }) => {
    const traces = verifyFiles(files);
    print(json ?? false, { traces }, () => verificationTable(traces));
  });

program
  .command('events')
  .description('list the events of a run or guest')
  .argument('<id>', 'a run id or a guest id')
  .option('--json', 'one JSON document on stdout (docs/cli.md)')
  .action(async (id: string, { json }: { json?: boolean }) => {
    const file = `${dataFolder()}/events.sqlite`;
    if (!fs.existsSync(file))
      throw new AppError('input/not-found', `there is no event log in ${dataFolder()}; \`pvtrail run\` makes one`);
    const log = openSqliteLogReader(file);
    const events: AnyEvent[] = [];
    for (const topic of [TOPICS.runs, TOPICS.guests, TOPICS.patches]) {
      for await (const record of log.read(topic)) {
        const event = fromMessage(record);
        if (event.runId === id || event.subject === id) events.push(event);
      }
    }
    await log.close();
    if (events.length === 0) throw new AppError('input/not-found', `no event has the run or guest id '${id}'`);
    print(json ?? false, { events }, () =>
      events.map(({ time, type, subject }) => `${time} ${subject} ${type}\n`).join(''),
    );
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (error instanceof AppError) {
    process.stderr.write(`pvtrail: ${error.code}: ${error.message}\n`);
    process.exitCode = 1;
  } else throw error;
}
