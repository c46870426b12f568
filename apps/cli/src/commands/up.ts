import { once } from 'node:events';
import { AppError } from '@pvtrail/primitives';
import type { Command } from 'commander';
import type { CommandContext } from '../context.js';
import { openEmbeddedSystem } from '../embedded-system.js';
import { startLocalSystem } from '../local-system/local-system.js';

interface UpOptions {
  readonly port: string;
  readonly workers?: string;
  readonly embedded?: boolean;
  readonly json?: boolean;
}

/** What runs until it is told to stop. */
interface Running {
  readonly api: string;
  readonly broker?: string;
  readonly store?: string;
  pids(): Readonly<Record<string, number>>;
  stop(): Promise<void>;
  /** Rejects when it cannot go on. */
  readonly failed?: Promise<never>;
}

const MAX_PORT = 65_535;

const portOf = (text: string): number => {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= MAX_PORT) return port;
  throw new AppError('input/invalid', `--port takes a number up to ${MAX_PORT}, not '${text}'`);
};

const workersOf = (text: string | undefined): number | undefined => {
  if (text === undefined) return undefined;
  const workers = Number(text);
  if (Number.isInteger(workers) && workers > 0) return workers;
  throw new AppError('input/invalid', `--workers takes a number from 1, not '${text}'`);
};

const startEmbedded = async (context: CommandContext, port: number): Promise<Running> => {
  const system = await openEmbeddedSystem({ ...context.embedded, keepTrace: false, http: { port } });
  return {
    api: system.url ?? '',
    pids: () => ({ pvtrail: process.pid }),
    stop: () => system.close(),
    failed: system.failed,
  };
};

const startText = ({ api, broker, store }: Running): string =>
  [
    `API     ${api}`,
    ...(broker === undefined ? [] : [`Kafka   ${broker}`]),
    ...(store === undefined ? [] : [`store   ${store}`]),
    `Ask it with \`pvtrail --server ${api} …\`. Ctrl-C stops everything.`,
    '',
  ].join('\n');

export const addUp = (program: Command, context: () => CommandContext): void => {
  program
    .command('up')
    .description('start the whole system on this machine: Kafka, a store and every service, each a process of its own')
    .option('--port <n>', 'of the API, on loopback; 0: any that is free', '8080')
    .option('--workers <n>', 'worker threads of the guest runner and of the analytics service; one a core otherwise')
    .option('--embedded', 'all services in this process, over an embedded log and store')
    .option('--json', 'one JSON document on stdout when everything is ready (docs/cli.md)')
    .action(async (options: UpOptions) => {
      const { dataFolder, note, print, ...rest } = context();
      const [port, workers] = [portOf(options.port), workersOf(options.workers)];
      note('starting …');
      const running: Running =
        options.embedded === true
          ? await startEmbedded({ dataFolder, note, print, ...rest }, port)
          : await startLocalSystem({ dataFolder, port, workers, note });
      try {
        const { api, broker, store } = running;
        print(options.json, { api, broker, store, pids: running.pids() }, () => startText(running));
        await Promise.race([
          once(process, 'SIGINT'),
          once(process, 'SIGTERM'),
          ...(running.failed ? [running.failed] : []),
        ]);
        note('stopping …');
      } finally {
        await running.stop();
      }
    });
};
