import { randomUUID } from 'node:crypto';
import type { Message } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import type { Producer } from 'kafkajs';
import type { Consumer, EventLog, Handler, LogRecord, ReadRange, Subscription } from '../port.js';
import { createKafka, probeCluster } from './kafka-client.js';
import { KafkaConsumer } from './kafka-consumer.js';
import { translating } from './kafka-errors.js';
import { DEFAULT_GROUP_SETTINGS, type KafkaLogOptions } from './kafka-options.js';
import { partitionOf, type StoredRecord, toKafka } from './kafka-record.js';
import { type PartitionEnds, PartitionFetcher } from './partition-fetcher.js';
import { RecordCache } from './record-cache.js';
import { StreamIndex } from './stream-index.js';
import { TopicCatalogue } from './topic-catalogue.js';

/** All replicas in sync have it. */
const ALL = -1;
const CACHE_BYTES = 32 << 20;
/** Bytes that one step of a read takes into memory. */
const PAGE_BYTES = 8 << 20;

/**
 * The log of many machines. Whatever is published to one partition by one call is one record batch, which Kafka takes whole or not at all.
 * The producer is not idempotent: with bounded retries an idempotent one of kafkajs may take a new batch for the repetition of one it gave
 * up. So a batch can be there twice after a broken connection, and whoever handles it recognises repetitions.
 */
class KafkaEventLog implements EventLog {
  readonly #options: KafkaLogOptions;
  readonly #producer: Producer;
  readonly #fetcher: PartitionFetcher;
  readonly #topics: TopicCatalogue;
  readonly #cache = new RecordCache(CACHE_BYTES);
  readonly #indexes = new Map<string, StreamIndex>();
  readonly #consumers = new Set<KafkaConsumer>();

  constructor(options: KafkaLogOptions) {
    const kafka = createKafka(options);
    this.#options = options;
    this.#producer = kafka.producer({ allowAutoTopicCreation: false, createPartitioner: () => givenPartition });
    this.#fetcher = new PartitionFetcher(kafka);
    this.#topics = new TopicCatalogue(kafka, options);
  }

  /** @throws AppError `log/unavailable` */
  async connect(): Promise<void> {
    await translating(() => this.#producer.connect());
  }

  async append(
    topic: string,
    key: string,
    messages: readonly Omit<Message, 'key'>[],
    expectedVersion?: number,
  ): Promise<number> {
    await this.#topics.ensure(topic);
    const partition = partitionOf(topic, key, await this.#partitions(topic));
    const index = this.#index(topic, partition);
    for (;;) {
      await index.refresh();
      const found = index.version(key);
      if (expectedVersion !== undefined && found !== expectedVersion)
        throw concurrency(topic, key, found, expectedVersion);
      if (messages.length === 0) return found;
      const id = randomUUID();
      index.watch(id);
      await this.#send(
        topic,
        messages.map((message, place) => toKafka({ ...message, key }, partition, { id, expected: found, place })),
      );
      if (await index.outcome(id)) return found + messages.length;
    }
  }

  async publish(topic: string, messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    await this.#topics.ensure(topic);
    const partitions = await this.#partitions(topic);
    await this.#send(
      topic,
      messages.map((message) => toKafka(message, partitionOf(topic, message.key, partitions))),
    );
  }

  read(topic: string, { key, from = 0 }: ReadRange = {}): AsyncIterable<LogRecord> {
    return key === undefined ? this.#readTopic(topic, from) : this.#readStream(topic, key, from);
  }

  consume(subscription: Subscription, handler: Handler): Consumer {
    const consumer: KafkaConsumer = new KafkaConsumer(subscription, handler, {
      kafka: () => createKafka(this.#options),
      settings: { ...DEFAULT_GROUP_SETTINGS, ...this.#options.groups },
      topics: this.#topics,
      ends: (topic) => this.#ends(topic),
      commitEnds: (group, topics) =>
        this.#fetcher.commitEnds(
          this.#topics.physical(group),
          topics.map((topic) => this.#topics.physical(topic)),
        ),
      counts: (stored) => this.#counts(stored),
      publish: (topic, message) => this.publish(topic, [message]),
      onLog: this.#options.onLog ?? (() => {}),
    });
    this.#consumers.add(consumer);
    const forget = () => this.#consumers.delete(consumer);
    consumer.finished.then(forget, forget);
    return consumer;
  }

  async truncate(topic: string, partition: number, before: number): Promise<void> {
    await this.#topics.truncate(topic, partition, before);
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#consumers].map((consumer) => consumer.stop()));
    await Promise.all([this.#producer.disconnect(), this.#fetcher.close(), this.#topics.close()]);
  }

  async *#readTopic(topic: string, from: number): AsyncGenerator<LogRecord> {
    for (const { partition, low, high } of await this.#ends(topic)) {
      let next = Math.max(low, from);
      while (next < high) {
        const { records } = await this.#fetch(topic, partition, next, PAGE_BYTES);
        for (const stored of records) {
          if (stored.record.offset < high && (await this.#counts(stored))) yield stored.record;
        }
        next = (records.at(-1)?.record.offset ?? high) + 1;
      }
    }
  }

  async *#readStream(topic: string, key: string, from: number): AsyncGenerator<LogRecord> {
    const partitions = await this.#partitions(topic);
    if (partitions === 0) return;
    const partition = partitionOf(topic, key, partitions);
    const index = this.#index(topic, partition);
    await index.refresh();
    for (const offset of index.offsets(key)) {
      if (offset < from) continue;
      const record = this.#cache.get(topic, partition, offset) ?? (await this.#recordAt(topic, partition, offset));
      if (record !== undefined) yield record;
    }
  }

  /** undefined when it has been deleted in the meantime. */
  async #recordAt(topic: string, partition: number, offset: number): Promise<LogRecord | undefined> {
    const { records } = await this.#fetch(topic, partition, offset, 1);
    for (const { record } of records) this.#cache.add(record);
    return records.find(({ record }) => record.offset === offset)?.record;
  }

  async #fetch(topic: string, partition: number, offset: number, maxBytes: number) {
    const { records, ...rest } = await this.#fetcher.fetch(this.#topics.physical(topic), partition, offset, maxBytes);
    return { ...rest, records: records.map(({ record, append }) => ({ record: { ...record, topic }, append })) };
  }

  async #counts({ record: { topic, partition, offset }, append }: StoredRecord): Promise<boolean> {
    return append === undefined || this.#index(topic, partition).counts(offset);
  }

  async #ends(topic: string): Promise<readonly PartitionEnds[]> {
    return (await this.#fetcher.ends(this.#topics.physical(topic))).map((ends) => ({ ...ends, topic }));
  }

  #partitions(topic: string): Promise<number> {
    return this.#fetcher.partitions(this.#topics.physical(topic));
  }

  #index(topic: string, partition: number): StreamIndex {
    const name = `${topic}/${partition}`;
    const known = this.#indexes.get(name);
    if (known) return known;
    const index = new StreamIndex(partition, this.#cache, {
      fetch: (offset, maxBytes) => this.#fetch(topic, partition, offset, maxBytes),
      ends: () => this.#ends(topic),
    });
    this.#indexes.set(name, index);
    return index;
  }

  async #send(topic: string, messages: ReturnType<typeof toKafka>[]): Promise<void> {
    await translating(() =>
      this.#producer.send({
        topic: this.#topics.physical(topic),
        acks: ALL,
        compression: this.#topics.compressionOf(topic),
        messages,
      }),
    );
  }
}

/** Every message says its partition (kafka-record.ts). */
const givenPartition = ({ message }: { readonly message: { readonly partition?: number } }): number =>
  message.partition ?? 0;

const concurrency = (topic: string, key: string, found: number, expected: number): AppError =>
  new AppError('log/concurrency', `${topic} ${key} has ${found} records, not ${expected}`, { found });

/**
 * Connects to a cluster.
 * @throws AppError `log/unavailable` when no broker answers within half a minute, `config/invalid` when credentials or certificates are refused
 */
export const openKafkaLog = async (options: KafkaLogOptions): Promise<EventLog> => {
  await probeCluster(options);
  const log = new KafkaEventLog(options);
  try {
    await log.connect();
  } catch (error) {
    await log.close();
    throw error;
  }
  return log;
};
