import { AppError } from '@pvtrail/primitives';
import type { Kafka } from 'kafkajs';
import { protocolError, translated } from './kafka-errors.js';
import { fromKafka, type StoredRecord } from './kafka-record.js';
import { retrying } from './kafka-retry.js';
import { type Cluster, createCluster } from './kafkajs-internals.js';

export type Fetched = {
  readonly records: readonly StoredRecord[];
  /** The offset behind the last record that all replicas have. */
  readonly highWatermark: number;
  /** The first offset that is still there. */
  readonly logStart: number;
};

export type PartitionEnds = {
  readonly topic: string;
  readonly partition: number;
  readonly low: number;
  /** The offset behind the last record. */
  readonly high: number;
};

const NO_REPLICA = -1;
const READ_COMMITTED = 1;
const describesConnection = (error: unknown): error is Error & { host: string; port: number } =>
  error instanceof Error && error.name === 'KafkaJSConnectionClosedError';

const isUnknownTopic = (error: unknown): boolean => protocolError(error) === 'UNKNOWN_TOPIC_OR_PARTITION';

/** Reads partitions by offset, without a group. */
export class PartitionFetcher {
  readonly #cluster: Cluster;
  #connected: Promise<void> | undefined;
  #closed = false;

  constructor(kafka: Kafka) {
    this.#cluster = createCluster(kafka);
  }

  /** How many partitions a topic has; 0 when there is no such topic. */
  partitions(topic: string): Promise<number> {
    return this.#retrying(async () => {
      try {
        await this.#cluster.addTargetTopic(topic);
      } catch (error) {
        if (isUnknownTopic(error)) return 0;
        throw error;
      }
      return this.#cluster.findTopicPartitionMetadata(topic).length;
    });
  }

  /** Records from `offset` on, about `maxBytes` of them but at least one; none when `offset` is the end. @throws AppError `log/*` */
  fetch(topic: string, partition: number, offset: number, maxBytes: number): Promise<Fetched> {
    return this.#retrying(async () => {
      const broker = await this.#leader(topic, partition);
      const { responses } = await broker.fetch({
        replicaId: NO_REPLICA,
        isolationLevel: READ_COMMITTED,
        maxWaitTime: 0,
        minBytes: 0,
        maxBytes,
        topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes }] }],
      });
      const found = responses[0]?.partitions[0];
      if (found === undefined) return { records: [], highWatermark: offset, logStart: 0 };
      return {
        // A fetch answers with whole batches, also with what lies before the offset in the first one.
        records: found.messages
          .filter((message) => Number(message.offset) >= offset && !message.isControlRecord)
          .map((message) => fromKafka(topic, partition, message)),
        highWatermark: Number(found.highWatermark),
        logStart: Number(found.lastStartOffset ?? 0),
      };
    });
  }

  /** Where each partition of a topic begins and ends now; empty when there is no such topic. */
  async ends(topic: string): Promise<readonly PartitionEnds[]> {
    const count = await this.partitions(topic);
    if (count === 0) return [];
    const [lows, highs] = await Promise.all([this.#offsets(topic, count, true), this.#offsets(topic, count, false)]);
    return Array.from({ length: count }, (_, partition) => ({
      topic,
      partition,
      low: lows.get(partition) ?? 0,
      high: highs.get(partition) ?? 0,
    }));
  }

  /** Commits the present ends of topics for a group that has no members yet: it will begin there. */
  async commitEnds(group: string, topics: readonly string[]): Promise<void> {
    const ends = await Promise.all(topics.map((topic) => this.ends(topic)));
    const offsets = topics.map((topic, index) => ({
      topic,
      partitions: (ends[index] ?? []).map(({ partition, high }) => ({ partition, offset: String(high) })),
    }));
    await this.#retrying(async () => {
      const coordinator = await this.#cluster.findGroupCoordinator({ groupId: group });
      await coordinator.offsetCommit({ groupId: group, groupGenerationId: -1, memberId: '', topics: offsets });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#cluster.disconnect();
  }

  #offsets(topic: string, count: number, fromBeginning: boolean): Promise<Map<number, number>> {
    const partitions = Array.from({ length: count }, (_, partition) => ({ partition }));
    return this.#retrying(async () => {
      const [found] = await this.#cluster.fetchTopicsOffset([{ topic, partitions, fromBeginning }]);
      return new Map(found?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    });
  }

  async #leader(topic: string, partition: number) {
    await this.#cluster.addTargetTopic(topic);
    await this.#cluster.refreshMetadataIfNecessary();
    const found = this.#cluster
      .findTopicPartitionMetadata(topic)
      .find(({ partitionId, leader }) => partitionId === partition && leader >= 0);
    if (found === undefined) throw new AppError('log/unavailable', `${topic}/${partition} has no leader`);
    return this.#cluster.findBroker({ nodeId: String(found.leader) });
  }

  #retrying<T>(action: () => Promise<T>): Promise<T> {
    return retrying(
      async () => {
        this.#connected ??= this.#cluster.connect();
        await this.#connected;
        return action();
      },
      (error) => this.#reconnect(error),
    );
  }

  async #reconnect(error: unknown): Promise<void> {
    if (this.#closed) throw translated(error);
    if (describesConnection(error)) this.#cluster.removeBroker(error);
    if (!this.#cluster.isConnected()) this.#connected = undefined;
    else await this.#cluster.refreshMetadata().catch(() => {});
  }
}
