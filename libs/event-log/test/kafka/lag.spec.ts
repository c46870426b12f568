import { type Recording, startRecording } from '@pvtrail/telemetry/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownPrefix, skipped, useBroker } from './use-broker.js';

const TOPIC = 'lag.v1';
const LAG = 'pvtrail.consumer.lag';

describe.skipIf(skipped !== '')(`the lag of a consumer of Kafka ${skipped}`, () => {
  const kafka = useBroker();
  let recording: Recording;
  beforeAll(() => {
    recording = startRecording();
  });
  afterAll(() => recording.stop());

  it('is what was not handled yet, as long as the consumer is there', async () => {
    const log = await kafka.open(kafka.options({ prefix: ownPrefix(), topics: { partitions: 1 } }));
    await log.publish(
      TOPIC,
      Array.from({ length: 7 }, (_, number) => ({ key: `k${number}`, value: Uint8Array.of(number), headers: {} })),
    );
    const [arrived, handled] = [Promise.withResolvers<void>(), Promise.withResolvers<undefined>()];
    const consumer = log.consume(
      {
        group: 'lag',
        topics: [TOPIC],
        maxRecords: 2,
        maxBytes: 100,
        retry: { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
      },
      async () => {
        arrived.resolve();
        return handled.promise;
      },
    );
    await arrived.promise;
    expect(await recording.measured(LAG)).toBe(7);
    handled.resolve(undefined);
    await consumer.drained();
    expect(await recording.measured(LAG)).toBe(0);
    await consumer.stop();
  });
});
