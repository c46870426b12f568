import { deadTopicOf, makeEvent, runIdOf, toMessage } from '@pvtrail/contracts';
import kafkajs, { type Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EventLog, KafkaLogOptions, LogRecord, Subscription, TopicPartition } from '../../src/index.js';
import { ownPrefix, skipped, useBroker } from './use-broker.js';

const TOPIC = 'log.v1';

const message = (key: string, text: string) => ({ key, value: Buffer.from(text), headers: {} });
const textOf = ({ value }: LogRecord): string => Buffer.from(value).toString();

const subscription = (change: Partial<Subscription> = {}): Subscription => ({
  group: 'log',
  topics: [TOPIC],
  maxRecords: 10,
  maxBytes: 1 << 20,
  retry: { attempts: 3, firstDelayMs: 0, maxDelayMs: 0 },
  ...change,
});

const readAll = async (log: EventLog, topic: string, key?: string): Promise<LogRecord[]> => {
  const records: LogRecord[] = [];
  for await (const record of log.read(topic, key === undefined ? {} : { key })) records.push(record);
  return records;
};

describe.skipIf(skipped !== '')(`the event log over Kafka ${skipped}`, () => {
  const kafka = useBroker();
  const warnings: string[] = [];
  const note = ({ name }: Error) => warnings.push(name);
  beforeAll(() => void process.on('warning', note));
  afterAll(() => {
    process.off('warning', note);
    expect(warnings).not.toContain('TimeoutNegativeWarning');
  });

  const openOwn = async (options: Partial<KafkaLogOptions> = {}) => {
    const all = kafka.options({ prefix: ownPrefix(), ...options });
    return { prefix: all.prefix ?? '', log: await kafka.open(all), second: () => kafka.open(all) };
  };
  const client = (): Kafka =>
    new kafkajs.Kafka({ brokers: [kafka.broker.bootstrap], logLevel: kafkajs.logLevel.NOTHING });

  describe('appending', () => {
    it('of two writers that know the same stream one wins, whole, and every reader sees the same', async () => {
      const { log, second } = await openOwn();
      const other = await second();
      const expected: string[] = [];
      for (let round = 0; round < 15; round++) {
        const race = await Promise.allSettled(
          [log, other].map((writer, index) =>
            writer.append(
              TOPIC,
              'k',
              Array.from({ length: 1 + index }, (_, place) => message('k', `${round}.${index}.${place}`)),
              expected.length,
            ),
          ),
        );
        const winners = race.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []));
        expect(winners.length).toBe(1);
        expect(race.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'log/concurrency' } });
        for (let place = 0; place <= (winners[0] ?? 0); place++) expected.push(`${round}.${winners[0]}.${place}`);
      }
      for (const reader of [log, other, await second()]) {
        expect((await readAll(reader, TOPIC, 'k')).map(textOf)).toEqual(expected);
        expect((await readAll(reader, TOPIC)).map(textOf)).toEqual(expected);
      }
      const consumed: string[] = [];
      await log
        .consume(subscription(), async ({ records }) => {
          consumed.push(...records.map(textOf));
          return undefined;
        })
        .drained();
      expect(consumed).toEqual(expected);
    });

    it('of many writers that expect nothing all are added, one behind the other', async () => {
      const { log, second } = await openOwn();
      const other = await second();
      const lengths = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          (index % 2 ? log : other).append(TOPIC, 'k', [message('k', `${index}`)]),
        ),
      );
      expect(lengths.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, index) => index + 1));
      expect((await readAll(log, TOPIC, 'k')).length).toBe(10);
    });
  });

  describe('groups', () => {
    it('members share the partitions; what one gives up it is told, and another handles the rest', async () => {
      const { log, second } = await openOwn();
      const other = await second();
      const keys = Array.from({ length: 30 }, (_, index) => `key ${index}`);
      const seen = { one: [] as string[], two: [] as string[] };
      const lost: TopicPartition[] = [];
      const one = log.consume(subscription({ revoked: (partition) => void lost.push(partition) }), async (batch) => {
        seen.one.push(...batch.records.map(textOf));
        return undefined;
      });
      await log.publish(
        TOPIC,
        keys.map((key) => message(key, `a ${key}`)),
      );
      await one.drained();
      expect(lost).toEqual([]);
      const two = other.consume(subscription(), async (batch) => {
        seen.two.push(...batch.records.map(textOf));
        return undefined;
      });
      await two.drained();
      expect(lost.length).toBeGreaterThan(0);
      expect(lost.length).toBeLessThan(3);
      await log.publish(
        TOPIC,
        keys.map((key) => message(key, `b ${key}`)),
      );
      await Promise.all([one.drained(), two.drained()]);
      await two.stop();
      await log.publish(
        TOPIC,
        keys.map((key) => message(key, `c ${key}`)),
      );
      await vi.waitFor(() => expect(seen.one.filter((text) => text.startsWith('c')).length).toBe(30), {
        timeout: 20_000,
      });
      for (const round of ['a', 'b', 'c']) {
        const handled = [...seen.one, ...seen.two].filter((text) => text.startsWith(round));
        expect(new Set(handled)).toEqual(new Set(keys.map((key) => `${round} ${key}`)));
      }
      expect(seen.two.some((text) => text.startsWith('b'))).toBe(true);
      expect(seen.two.some((text) => text.startsWith('c'))).toBe(false);
      await one.stop();
    });

    it('partitions of the same number go to the same member, so that it has all of a key in all topics', async () => {
      const { log, second } = await openOwn({ topics: { partitions: 4 } });
      const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`);
      const topics = [TOPIC, 'other.v1', 'third.v1'];
      const wanted = subscription({ topics });
      const seen = [new Set<string>(), new Set<string>()];
      const consumers = [log, await second()].map((member, index) =>
        member.consume(wanted, async ({ records }) => {
          for (const { topic, key } of records) seen[index]?.add(`${key} ${topic}`);
          return undefined;
        }),
      );
      await Promise.all(consumers.map(({ started }) => started));
      await Promise.all(consumers.map((consumer) => consumer.drained()));
      for (const topic of topics) {
        await log.publish(
          topic,
          keys.map((key) => message(key, 'x')),
        );
      }
      await vi.waitFor(() => expect((seen[0]?.size ?? 0) + (seen[1]?.size ?? 0)).toBe(60), { timeout: 20_000 });
      const places = keys.map((key) => seen.map((set) => topics.filter((topic) => set.has(`${key} ${topic}`)).length));
      expect(places.every(([one, two]) => (one === 3 && two === 0) || (one === 0 && two === 3))).toBe(true);
      expect(seen.every((set) => set.size > 0)).toBe(true);
      await Promise.all(consumers.map((consumer) => consumer.stop()));
    });

    it('a slow handler is not given more than it can hold, and its member stays in the group', async () => {
      const { log } = await openOwn({ groups: { sessionTimeoutMs: 1_500, heartbeatIntervalMs: 200 } });
      const large = Buffer.alloc(200_000);
      for (let count = 0; count < 20; count++) {
        await log.publish(TOPIC, [{ key: 'k', value: large, headers: { count: `${count}` } }]);
      }
      const lost: TopicPartition[] = [];
      const seen: string[] = [];
      let first = true;
      const wanted = subscription({ maxBytes: 400_000, revoked: (partition) => void lost.push(partition) });
      const consumer = log.consume(wanted, async ({ records }) => {
        if (first) await new Promise((resolve) => setTimeout(resolve, 4_000));
        first = false;
        expect(records.length).toBeLessThanOrEqual(2);
        seen.push(...records.map(({ headers }) => headers.count ?? ''));
        return undefined;
      });
      await consumer.drained();
      expect(seen).toEqual(Array.from({ length: 20 }, (_, count) => `${count}`));
      expect(lost).toEqual([]);
    });
  });

  describe('on the wire', () => {
    it('an event is a CloudEvents message in binary content mode, with its trace context', async () => {
      const { prefix, log } = await openOwn();
      const runId = runIdOf('a run');
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const payload = { runId, guests: 1, instructions: 10, chunks: 2, bytes: 30 };
      const event = makeEvent('RunCompleted', payload, { runId, time: new Date(0), traceparent });
      await log.publish(TOPIC, [toMessage(event)]);
      const consumer = client().consumer({ groupId: `${prefix}raw` });
      await consumer.connect();
      await consumer.subscribe({ topic: `${prefix}${TOPIC}`, fromBeginning: true });
      const raw = await new Promise<{ key: string; value: string; headers: Record<string, string> }>((resolve) => {
        void consumer.run({
          eachMessage: async ({ message: { key, value, headers } }) =>
            resolve({
              key: String(key),
              value: String(value),
              headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, text]) => [name, String(text)])),
            }),
        });
      });
      await consumer.disconnect();
      expect(raw.key).toBe(runId);
      expect(JSON.parse(raw.value)).toEqual(payload);
      expect(raw.headers).toEqual({
        'content-type': 'application/json',
        ce_specversion: '1.0',
        ce_id: event.id,
        ce_type: 'RunCompleted',
        ce_source: 'pvtrail',
        ce_subject: runId,
        ce_time: '1970-01-01T00:00:00.000Z',
        ce_dataversion: '1',
        ce_runid: runId,
        traceparent,
      });
    });

    it('topics are made as configured, the dead-letter topic too', async () => {
      const { prefix, log } = await openOwn({
        topics: { partitions: 5, retentionMs: -1 },
        topicsByName: { [TOPIC]: { partitions: 2, retentionMs: 3_600_000, maxMessageBytes: 2_000_000 } },
      });
      await log.publish(TOPIC, [message('k', 'x')]);
      await log.publish(deadTopicOf(TOPIC), [message('k', 'x')]);
      const admin = client().admin();
      await admin.connect();
      const names = [TOPIC, deadTopicOf(TOPIC)].map((topic) => `${prefix}${topic}`);
      const { topics } = await admin.fetchTopicMetadata({ topics: names });
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: names.map((name) => ({
          type: kafkajs.ConfigResourceTypes.TOPIC,
          name,
          configNames: ['retention.ms', 'max.message.bytes'],
        })),
      });
      await admin.disconnect();
      const found = names.map((name) => ({
        partitions: topics.find((topic) => topic.name === name)?.partitions.length,
        ...Object.fromEntries(
          resources
            .find(({ resourceName }) => resourceName === name)
            ?.configEntries.map(({ configName, configValue }) => [configName, configValue]) ?? [],
        ),
      }));
      expect(found).toEqual([
        { partitions: 2, 'retention.ms': '3600000', 'max.message.bytes': '2000000' },
        { partitions: 5, 'retention.ms': '-1', 'max.message.bytes': '16777216' },
      ]);
    });

    it('what is too large for the topic is refused; zstd makes it smaller', async () => {
      const zeros = { key: 'k', value: Buffer.alloc(3_000_000), headers: {} };
      const plain = await openOwn({ topics: { maxMessageBytes: 1_000_000, compression: 'none' } });
      await expect(plain.log.publish(TOPIC, [zeros])).rejects.toEqual(
        expect.objectContaining({ code: 'log/too-large' }),
      );
      expect(await readAll(plain.log, TOPIC)).toEqual([]);
      const compressed = await openOwn({ topics: { maxMessageBytes: 1_000_000, compression: 'zstd' } });
      await compressed.log.publish(TOPIC, [zeros]);
      const [record] = await readAll(compressed.log, TOPIC);
      expect(record?.value.byteLength).toBe(3_000_000);
    });
  });
});
