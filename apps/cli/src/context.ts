import os from 'node:os';
import { startTelemetry } from '@pvtrail/telemetry';
import { type EmbeddedSystem, openEmbeddedSystem } from './embedded-system.js';

/** One guest can run while another one waits for its patches. */
const MIN_GUEST_WORKERS = 2;

/** What every command has: where data lies, and how its answer is printed. */
export interface CommandContext {
  readonly dataFolder: string;
  withSystem<T>(action: (system: EmbeddedSystem) => Promise<T>, options?: { keepTrace?: boolean }): Promise<T>;
  /** One JSON document, or a text for people. */
  print(json: boolean | undefined, document: unknown, text: () => string): void;
  /** A line for people that is no part of the answer. */
  note(line: string): void;
}

const note = (line: string): void => {
  process.stderr.write(`pvtrail: ${line}\n`);
};

const workersOfThisMachine = () => {
  const cores = os.availableParallelism();
  return { guestWorkers: Math.max(MIN_GUEST_WORKERS, cores >> 1), analysisWorkers: Math.max(1, cores >> 2) };
};

export const commandContext = (dataFolder: string): CommandContext => ({
  dataFolder,
  withSystem: async (action, { keepTrace = false } = {}) => {
    const telemetry = await startTelemetry('pvtrail', process.env, (warning) => note(`telemetry: ${warning}`));
    try {
      const system = await openEmbeddedSystem({ dataFolder, ...workersOfThisMachine(), keepTrace });
      try {
        return await action(system);
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
