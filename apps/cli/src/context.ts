import os from 'node:os';
import { AppError } from '@pvtrail/primitives';
import { startTelemetry } from '@pvtrail/telemetry';
import { embeddedPvtrail } from './computed-run.js';
import { type EmbeddedOptions, openEmbeddedSystem } from './embedded-system.js';
import type { Pvtrail } from './pvtrail.js';
import { HttpClient } from './server/http-client.js';
import { serverPvtrail } from './server/server-pvtrail.js';

/** One guest can run while another one waits for its patches. */
const MIN_GUEST_WORKERS = 2;

/** What every command has: where data lies, and how its answer is printed. */
export interface CommandContext {
  readonly dataFolder: string;
  /** How the system in this process is set up. */
  readonly embedded: Omit<EmbeddedOptions, 'keepTrace' | 'http'>;
  /** Whether a server does the work. */
  readonly isRemote: boolean;
  withPvtrail<T>(action: (pvtrail: Pvtrail) => Promise<T>, options?: { keepTrace?: boolean }): Promise<T>;
  /** @throws AppError `input/invalid` without --server */
  server(): HttpClient;
  /** One JSON document, or a text for people. */
  print(json: boolean | undefined, document: unknown, text: () => string): void;
  /** A line for people that is no part of the answer. */
  note(line: string): void;
}

export interface GlobalOptions {
  readonly data: string;
  /** URL of an API that does the work; this process does it otherwise. */
  readonly server?: string;
}

const note = (line: string): void => {
  process.stderr.write(`pvtrail: ${line}\n`);
};

export const commandContext = ({ data: dataFolder, server }: GlobalOptions): CommandContext => ({
  dataFolder,
  embedded: embeddedIn(dataFolder),
  isRemote: server !== undefined,
  server: () => {
    if (server === undefined) throw new AppError('input/invalid', 'this asks a server: give its URL with --server');
    return clientOf(server);
  },
  withPvtrail: async (action, { keepTrace = false } = {}) => {
    if (server !== undefined) return action(serverPvtrail(clientOf(server), note));
    const telemetry = await startTelemetry('pvtrail', process.env, (warning) => note(`telemetry: ${warning}`));
    try {
      const system = await openEmbeddedSystem({ ...embeddedIn(dataFolder), keepTrace });
      try {
        return await action(embeddedPvtrail(system, note));
      } finally {
        await system.close();
      }
    } finally {
      await telemetry.stop();
    }
  },
  print: (json, document, text) => {
    process.stdout.write(json === true ? `${JSON.stringify(document, null, 2)}\n` : text());
  },
  note,
});

const embeddedIn = (dataFolder: string): CommandContext['embedded'] => {
  const cores = os.availableParallelism();
  return {
    dataFolder,
    guestWorkers: Math.max(MIN_GUEST_WORKERS, cores >> 1),
    analysisWorkers: Math.max(1, cores >> 2),
  };
};

const clientOf = (url: string): HttpClient => new HttpClient(url, process.env.PVTRAIL_API_TOKEN);
