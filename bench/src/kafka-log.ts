import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type EventLog, openKafkaLog } from '@pvtrail/event-log';
import { skippedWithoutBroker, startLocalBroker } from '@pvtrail/kafka-local';
import type { Figures } from './measures.js';

/** As a chunk of a trace: compressed already, so the log gains nothing by trying. */
const SIZES = { '100kB': 100_000, '256kB': 256_000, '1MB': 1_000_000 };
const TOTAL_BYTES = 200_000_000;
/** Publishes under way at a time, as of several guests. */
const IN_FLIGHT = 4;
const PARTITIONS = 4;
const LATENCY_MESSAGES = 300;
const LATENCY_PERIOD_MS = 20;

const secondsOf = async (action: () => Promise<unknown>): Promise<number> => {
  const begin = performance.now();
  await action();
  return (performance.now() - begin) / 1000;
};

const subscriptionTo = (topic: string) => ({
  group: 'bench',
  topics: [topic],
  maxRecords: 8,
  maxBytes: 16 << 20,
  retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 },
});

/** MB/s of publishing, each call one message, acknowledged when written. */
const publishRate = async (log: EventLog, topic: string, size: number): Promise<number> => {
  const value = randomBytes(size);
  const count = Math.floor(TOTAL_BYTES / size);
  let next = 0;
  const publish = (number: number) => log.publish(topic, [{ key: `guest ${number % 64}`, value, headers: {} }]);
  const publisher = async (): Promise<void> => {
    while (next < count) await publish(next++);
  };
  // makes the topic and the connections
  await publish(0);
  const seconds = await secondsOf(() => Promise.all(Array.from({ length: IN_FLIGHT }, publisher)));
  return (count * size) / 1e6 / seconds;
};

/** MB/s of consuming all of it, from the first batch on, with a handler that does nothing. */
const consumeRate = async (log: EventLog, topic: string): Promise<number> => {
  let bytes = 0;
  let begin: number | undefined;
  const consumer = log.consume(subscriptionTo(topic), async ({ records }) => {
    if (begin === undefined) begin = performance.now();
    else bytes += records.reduce((sum, { value }) => sum + value.byteLength, 0);
    return undefined;
  });
  await consumer.drained();
  const seconds = (performance.now() - (begin ?? Number.NaN)) / 1000;
  await consumer.stop();
  return bytes / 1e6 / seconds;
};

/** Milliseconds from before `publish` to the handler, at a rate far below the highest; the 99th percentile. */
const latencyP99Ms = async (log: EventLog): Promise<number> => {
  const latencies: number[] = [];
  const consumer = log.consume(subscriptionTo('latency'), async ({ records }) => {
    for (const { headers } of records) latencies.push(performance.now() - Number(headers.sent));
    return undefined;
  });
  await consumer.started;
  const value = randomBytes(SIZES['256kB']);
  for (let number = 0; number < LATENCY_MESSAGES; number++) {
    await log.publish('latency', [
      { key: `guest ${number % 64}`, value, headers: { sent: String(performance.now()) } },
    ]);
    await delay(LATENCY_PERIOD_MS);
  }
  await consumer.drained();
  await consumer.stop();
  return latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.99)] ?? Number.NaN;
};

/** The event log over a real broker on this machine; no figures where there is no Java. */
export const kafkaLog = async (): Promise<Figures> => {
  const skipped = skippedWithoutBroker();
  if (skipped !== '') {
    process.stderr.write(`kafka-log: ${skipped}\n`);
    return {};
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-bench-'));
  const broker = await startLocalBroker({ folder });
  try {
    const topics = { partitions: PARTITIONS, compression: 'none' } as const;
    const log = await openKafkaLog({ brokers: [broker.bootstrap], clientId: 'bench', topics });
    const figures: Record<string, number> = {};
    for (const [name, size] of Object.entries(SIZES)) {
      figures[`kafka.publish.${name}`] = await publishRate(log, name, size);
      figures[`kafka.consume.${name}`] = await consumeRate(log, name);
    }
    figures['kafka.log.latencyP99Ms'] = await latencyP99Ms(log);
    await log.close();
    return figures;
  } finally {
    await broker.stop();
    fs.rmSync(folder, { recursive: true });
  }
};
