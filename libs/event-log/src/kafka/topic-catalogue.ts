import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { DEFAULT_TOPIC_SETTINGS, type KafkaLogOptions, type TopicSettings } from './kafka-options.js';
import { retrying } from './kafka-retry.js';

const { CompressionTypes } = kafkajs;

/** Knows the topics' settings and makes those that are missing. */
export class TopicCatalogue {
  readonly #options: Pick<KafkaLogOptions, 'prefix' | 'topics' | 'topicsByName'>;
  readonly #admin: Admin;
  #connected: Promise<void> | undefined;
  readonly #ensured = new Map<string, Promise<void>>();

  constructor(kafka: Kafka, options: Pick<KafkaLogOptions, 'prefix' | 'topics' | 'topicsByName'>) {
    this.#options = options;
    this.#admin = kafka.admin();
  }

  /** The cluster's name of a topic or group. */
  physical(name: string): string {
    return `${this.#options.prefix ?? ''}${name}`;
  }

  compressionOf(topic: string): number {
    return this.#settings(topic).compression === 'zstd' ? CompressionTypes.ZSTD : CompressionTypes.None;
  }

  /** Makes the topic unless it exists. @throws AppError `log/*`, `config/invalid` */
  ensure(topic: string): Promise<void> {
    const known = this.#ensured.get(topic);
    if (known) return known;
    const ensured = this.#create(topic);
    this.#ensured.set(topic, ensured);
    ensured.catch(() => this.#ensured.delete(topic));
    return ensured;
  }

  /** Committed offsets of a group, by `topic/partition`; none where it has committed nothing. */
  async committed(group: string, topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return retrying(async () => {
      const admin = await this.#connect();
      const names = new Map(topics.map((topic) => [this.physical(topic), topic]));
      const found = await admin.fetchOffsets({ groupId: this.physical(group), topics: [...names.keys()] });
      return new Map(
        found.flatMap(({ topic, partitions }) =>
          partitions
            .filter(({ offset }) => Number(offset) >= 0)
            .map(({ partition, offset }) => [`${names.get(topic)}/${partition}`, Number(offset)] as const),
        ),
      );
    });
  }

  /** A group that nobody will join again. */
  async forgetGroup(group: string): Promise<void> {
    await retrying(async () => {
      const admin = await this.#connect();
      await admin.deleteGroups([this.physical(group)]);
    });
  }

  /** Deletes the records of a partition below an offset. */
  async truncate(topic: string, partition: number, before: number): Promise<void> {
    await retrying(async () => {
      const admin = await this.#connect();
      // kafkajs deletes only in topics that it has looked up before.
      await admin.fetchTopicOffsets(this.physical(topic));
      const partitions = [{ partition, offset: String(before) }];
      await admin.deleteTopicRecords({ topic: this.physical(topic), partitions });
    });
  }

  async close(): Promise<void> {
    await this.#admin.disconnect();
  }

  #settings(topic: string): TopicSettings {
    return { ...DEFAULT_TOPIC_SETTINGS, ...this.#options.topics, ...this.#options.topicsByName?.[topic] };
  }

  async #connect(): Promise<Admin> {
    this.#connected ??= this.#admin.connect();
    await this.#connected.catch((error: unknown) => {
      this.#connected = undefined;
      throw error;
    });
    return this.#admin;
  }

  async #create(topic: string): Promise<void> {
    const { partitions, replicationFactor, retentionMs, maxMessageBytes } = this.#settings(topic);
    await retrying(async () => {
      const admin = await this.#connect();
      await admin.createTopics({
        waitForLeaders: true,
        topics: [
          {
            topic: this.physical(topic),
            numPartitions: partitions,
            replicationFactor,
            configEntries: [
              { name: 'retention.ms', value: String(retentionMs) },
              { name: 'max.message.bytes', value: String(maxMessageBytes) },
            ],
          },
        ],
      });
    });
  }
}
