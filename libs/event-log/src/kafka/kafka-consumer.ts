import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from '@pvtrail/contracts';
import { AppError, ERROR_CODES } from '@pvtrail/primitives';
import { type Lag, observeLag } from '@pvtrail/telemetry';
import type { EachBatchPayload, Kafka } from 'kafkajs';
import { Delivery } from '../delivery.js';
import type { Consumer, Handler, LogRecord, Subscription, TopicPartition } from '../port.js';
import { Committer } from './committer.js';
import { type Commit, GroupMember } from './group-member.js';
import { translated } from './kafka-errors.js';
import type { GroupSettings, KafkaLogEntry } from './kafka-options.js';
import { fromKafka, type StoredRecord } from './kafka-record.js';
import { Lane } from './lane.js';
import type { PartitionEnds } from './partition-fetcher.js';
import type { TopicCatalogue } from './topic-catalogue.js';

/** What a consumer needs of its log. Topics are called by their own names, without prefix. */
export type ConsumerPorts = {
  readonly kafka: () => Kafka;
  readonly settings: GroupSettings;
  readonly topics: TopicCatalogue;
  readonly commitEnds: (group: string, topics: readonly string[]) => Promise<void>;
  readonly ends: (topic: string) => Promise<readonly PartitionEnds[]>;
  readonly counts: (stored: StoredRecord) => Promise<boolean>;
  readonly publish: (topic: string, message: Message) => Promise<void>;
  readonly onLog: (entry: KafkaLogEntry) => void;
};

const MAX_RESTART_DELAY_MS = 10_000;
const MIN_FETCH_BYTES = 1 << 20;
/** What other members commit cannot be seen otherwise. */
const DRAIN_POLL_MS = 500;
const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

/**
 * Takes part in a group and hands its records to the handler, one batch of each partition at a time.
 * Story: a member of the group fetches into lanes, one a partition; each lane hands its batches to the handler; the committer commits.
 * Too many bytes in the lanes pause the member. A member that crashed or went silent is replaced, and its lanes are lost.
 */
export class KafkaConsumer implements Consumer {
  readonly started: Promise<void>;
  readonly finished: Promise<void>;
  /** Without one in the subscription, one of its own that nobody else knows. */
  readonly #group: string;
  readonly #begun = Promise.withResolvers<void>();
  readonly #subscription: Subscription;
  readonly #ports: ConsumerPorts;
  readonly #handler: Handler;
  readonly #committer: Committer;
  readonly #lanes = new Map<string, Lane>();
  /** What each partition's lanes do, one after the other. */
  readonly #work = new Map<string, Promise<void>>();
  /** Below these offsets everything was handled for good, whatever has become of the commits and whoever had the partition since. */
  readonly #durable = new Map<string, number>();
  readonly #failure = Promise.withResolvers<never>();
  readonly #watchdog: NodeJS.Timeout;
  /** Topic by its name in the cluster. */
  readonly #topicOf: ReadonlyMap<string, string>;
  #member: GroupMember | undefined;
  #memberId: string | undefined;
  #restarts = 0;
  #anchored = false;
  #paused = false;
  #stopping = false;
  readonly #stop = Promise.withResolvers<void>();
  #progress = Promise.withResolvers<void>();

  constructor(subscription: Subscription, handler: Handler, ports: ConsumerPorts) {
    this.#subscription = subscription;
    this.#group = subscription.group ?? `alone-${randomUUID()}`;
    this.#ports = ports;
    this.#topicOf = new Map(subscription.topics.map((topic) => [ports.topics.physical(topic), topic]));
    this.#handler = handler;
    this.#committer = new Committer(
      async (commits) => this.#commit(commits),
      (error) => this.#log('warn', 'an offset could not be committed', error),
    );
    this.#watchdog = setInterval(() => this.#watch(), ports.settings.stallMs / 4);
    this.finished = this.#run();
    this.started = Promise.race([this.#begun.promise, this.finished]);
    this.started.catch(() => {});
    // A failure is reported to whoever waits on `finished` or `drained`; nobody waiting is no reason to end the process.
    this.finished.catch(() => {});
    this.#failure.promise.catch(() => {});
  }

  async drained(): Promise<void> {
    await Promise.race([this.#drain(), this.finished]);
  }

  async stop(): Promise<void> {
    this.#end();
    await this.finished;
  }

  async #run(): Promise<void> {
    const unobserve = observeLag(() => this.#lags());
    try {
      void this.#join(0);
      await Promise.race([this.#stop.promise, this.#failure.promise]);
      await Promise.race([Promise.all(this.#work.values()), this.#failure.promise]);
      await this.#committer.end();
    } finally {
      unobserve();
      this.#end();
      clearInterval(this.#watchdog);
      await this.#member?.dispose();
      if (this.#subscription.group === undefined) await this.#forgetGroup();
    }
  }

  #lags(): Lag[] {
    const lanes = [...this.#lanes.values()];
    return lanes.map(({ topic, partition, lag }) => ({ group: this.#group, topic, partition, messages: lag }));
  }

  async #forgetGroup(): Promise<void> {
    await this.#ports.topics
      .forgetGroup(this.#group)
      .catch((error: unknown) => this.#log('info', 'a group is left to expire', error));
  }

  #end(): void {
    this.#stopping = true;
    this.#stop.resolve();
    for (const lane of this.#lanes.values()) lane.wake();
  }

  #open(lane: Lane): void {
    const name = nameOf(lane);
    this.#lanes.set(name, lane);
    const before = this.#work.get(name) ?? Promise.resolve();
    const work = before.then(() => this.#handleAll(lane));
    work.catch((error: unknown) => this.#failure.reject(error));
    this.#work.set(name, work);
  }

  /** Hands over batch after batch of one partition, until it is lost or the consumer stops. */
  async #handleAll(lane: Lane): Promise<void> {
    const { maxRecords, maxBytes, retry, revoked } = this.#subscription;
    const delivery = new Delivery(this.#handler, retry, {
      publishDead: this.#ports.publish,
      delay: async (ms) => {
        if (ms > 0) await delay(ms);
      },
      stopping: () => this.#stopping || lane.lost,
    });
    while (!this.#stopping && !lane.lost) {
      const records = lane.take(maxRecords, maxBytes);
      if (records.length === 0) await lane.changed();
      else await this.#handle(lane, records, delivery);
    }
    if (lane.lost) await revoked?.({ topic: lane.topic, partition: lane.partition });
  }

  async #handle(lane: Lane, records: readonly LogRecord[], delivery: Delivery): Promise<void> {
    const { topic, partition } = lane;
    const commit = await delivery.deliver({ topic, partition, records });
    lane.release();
    this.#regulate();
    if (commit === undefined) return;
    this.#durable.set(nameOf(lane), Math.max(commit, this.#durable.get(nameOf(lane)) ?? 0));
    if (!lane.lost) this.#committer.add(lane, commit);
    this.#progress.resolve();
    this.#progress = Promise.withResolvers<void>();
  }

  async #join(delayMs: number): Promise<void> {
    let member: GroupMember | undefined;
    try {
      await delay(delayMs);
      await this.#ensureTopics();
      if (this.#subscription.group === undefined) await this.#beginAtEnd();
      if (this.#stopping) return;
      member = this.#createMember();
      this.#member = member;
      this.#paused = false;
      await member.start();
    } catch (error) {
      this.#replace(member, error);
    }
  }

  /** Once: a member that replaces another goes on where that one was. */
  async #beginAtEnd(): Promise<void> {
    if (this.#anchored) return;
    await this.#ports.commitEnds(this.#group, this.#subscription.topics);
    this.#anchored = true;
    this.#begun.resolve();
  }

  async #ensureTopics(): Promise<void> {
    await Promise.all(this.#subscription.topics.map((topic) => this.#ports.topics.ensure(topic)));
  }

  #createMember(): GroupMember {
    const { topics, settings, kafka } = this.#ports;
    const { maxBytes } = this.#subscription;
    const member: GroupMember = new GroupMember({
      kafka: kafka(),
      group: topics.physical(this.#group),
      topics: [...this.#topicOf.keys()],
      maxBytes: Math.max(maxBytes, MIN_FETCH_BYTES),
      settings,
      events: {
        assigned: (memberId, partitions) => this.#assign(memberId, partitions),
        batch: (payload) => this.#take(payload),
        crashed: (error) => this.#replace(member, error),
      },
    });
    return member;
  }

  /** Throws the member away and joins anew, unless the error says that this cannot help. */
  #replace(member: GroupMember | undefined, error: unknown): void {
    if (this.#stopping || member !== this.#member) return;
    this.#member = undefined;
    this.#memberId = undefined;
    void member?.dispose();
    for (const lane of this.#lanes.values()) this.#lose(lane);
    const ours = translated(error);
    if (!(ours instanceof AppError) || !ERROR_CODES[ours.code].retriable) {
      this.#failure.reject(ours);
      return;
    }
    this.#log('warn', 'the member of the group is replaced', error);
    void this.#join(Math.min(100 * 2 ** this.#restarts++, MAX_RESTART_DELAY_MS));
  }

  #watch(): void {
    const { stallMs } = this.#ports.settings;
    if (this.#member === undefined || this.#member.silentMs < stallMs) return;
    this.#replace(this.#member, new AppError('log/unavailable', `nothing was heard of the broker for ${stallMs} ms`));
  }

  #assign(memberId: string, assigned: readonly TopicPartition[]): void {
    const partitions = new Map(
      assigned.map(({ topic, partition }) => {
        const named = { topic: this.#topicOf.get(topic) ?? topic, partition };
        return [nameOf(named), named];
      }),
    );
    for (const [name, lane] of this.#lanes) {
      if (memberId !== this.#memberId || !partitions.has(name)) this.#lose(lane);
    }
    for (const [name, partition] of partitions) {
      if (!this.#lanes.has(name)) this.#open(new Lane(partition, this.#durable.get(name) ?? 0));
    }
    this.#memberId = memberId;
    this.#restarts = 0;
    this.#begun.resolve();
    this.#regulate();
  }

  #lose(lane: Lane): void {
    lane.lose();
    this.#lanes.delete(nameOf(lane));
  }

  async #take({ batch }: EachBatchPayload): Promise<void> {
    const topic = this.#topicOf.get(batch.topic) ?? batch.topic;
    const lane = this.#lanes.get(nameOf({ topic, partition: batch.partition }));
    const records = [];
    for (const message of batch.messages) {
      const stored = fromKafka(topic, batch.partition, message);
      if (await this.#ports.counts(stored)) records.push(stored.record);
    }
    if (lane === undefined || lane.lost) return;
    if (Number(batch.firstOffset()) < lane.begin) this.#committer.add(lane, lane.begin);
    lane.add(records, Number(batch.lastOffset()) + 1, Number(batch.highWatermark));
    this.#regulate();
  }

  /** Fetches no more while two batches wait or are in hand. */
  #regulate(): void {
    const { maxBytes } = this.#subscription;
    const waiting = [...this.#lanes.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    if (waiting > 2 * maxBytes) this.#member?.pause();
    else if (this.#paused && waiting <= maxBytes) this.#member?.resume();
    else return;
    this.#paused = waiting > 2 * maxBytes;
  }

  async #commit(commits: readonly Commit[]): Promise<void> {
    if (this.#member === undefined) throw new AppError('log/unavailable', 'there is no connection to the group');
    const { topics } = this.#ports;
    await this.#member.commit(commits.map((commit) => ({ ...commit, topic: topics.physical(commit.topic) })));
  }

  /** Handled is what was handled here, what the group has committed, and, as far as this member is concerned, the share of others. */
  async #drain(): Promise<void> {
    await this.#ensureTopics();
    const { topics } = this.#subscription;
    const ends = (await Promise.all(topics.map((topic) => this.#ports.ends(topic)))).flat();
    while (!this.#stopping) {
      const progress = this.#progress.promise;
      const committed = await this.#ports.topics.committed(this.#group, topics);
      const isHandled = (end: PartitionEnds): boolean => {
        const lane = this.#lanes.get(nameOf(end));
        if (lane === undefined) return true;
        return Math.max(lane.handled, end.low, committed.get(nameOf(end)) ?? 0) >= end.high;
      };
      if (this.#memberId !== undefined && ends.every(isHandled)) return this.#committer.flushed();
      await Promise.race([progress, delay(DRAIN_POLL_MS)]);
    }
  }

  #log(level: KafkaLogEntry['level'], message: string, error: unknown): void {
    this.#ports.onLog({ level, message, details: { group: this.#group, error: String(error) } });
  }
}
