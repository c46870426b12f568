import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type LocalBroker, skippedWithoutBroker, startLocalBroker } from '@pvtrail/kafka-local';
import { afterAll, beforeAll, describe } from 'vitest';
import { describeEventLogContract } from '../../src/contract/index.js';
import { openKafkaLog } from '../../src/index.js';

const skipped = skippedWithoutBroker();

describe.skipIf(skipped !== '')(`kafka ${skipped}`, () => {
  let folder: string;
  let broker: LocalBroker;
  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-kafka-'));
    broker = await startLocalBroker({ folder });
  });
  afterAll(async () => {
    await broker.stop();
    fs.rmSync(folder, { recursive: true });
  });

  describeEventLogContract('kafka', async () => {
    const prefix = `${randomUUID()}.`;
    return {
      open: () =>
        openKafkaLog({ brokers: [broker.bootstrap], clientId: 'contract', prefix, topics: { partitions: 3 } }),
      dispose: async () => {},
    };
  });
});
