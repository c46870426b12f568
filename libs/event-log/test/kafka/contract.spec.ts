import { describe } from 'vitest';
import { describeEventLogContract } from '../../src/contract/index.js';
import { ownPrefix, skipped, useBroker } from './use-broker.js';

describe.skipIf(skipped !== '')(`over Kafka ${skipped}`, () => {
  const kafka = useBroker();

  describeEventLogContract('kafka', async () => {
    const prefix = ownPrefix();
    return {
      open: () => kafka.open(kafka.options({ prefix })),
      dispose: async () => {},
    };
  });
});
