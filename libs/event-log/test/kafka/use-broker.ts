import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type LocalBroker, skippedWithoutBroker, startLocalBroker } from '@pvtrail/kafka-local';
import { afterAll, beforeAll } from 'vitest';
import { type EventLog, type KafkaLogOptions, openKafkaLog } from '../../src/index.js';

export const skipped = skippedWithoutBroker();

/** A broker for the tests of a `describe`, and logs on it. */
export const useBroker = (properties: Readonly<Record<string, string>> = {}) => {
  let folder: string;
  let broker: LocalBroker;
  const logs: EventLog[] = [];
  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-kafka-'));
    broker = await startLocalBroker({ folder, properties });
  });
  afterAll(async () => {
    await Promise.all(logs.map((log) => log.close()));
    await broker.stop();
    fs.rmSync(folder, { recursive: true });
  });
  return {
    get broker() {
      return broker;
    },
    options: (options: Partial<KafkaLogOptions> = {}): KafkaLogOptions => ({
      brokers: [broker.bootstrap],
      clientId: 'test',
      topics: { partitions: 3 },
      groups: { sessionTimeoutMs: 2_000, heartbeatIntervalMs: 300 },
      ...options,
    }),
    /** Closed at the end. */
    open: async (options: KafkaLogOptions): Promise<EventLog> => {
      const log = await openKafkaLog(options);
      logs.push(log);
      return log;
    },
  };
};

/** Topics and groups of one test. */
export const ownPrefix = (): string => `${randomUUID()}.`;
