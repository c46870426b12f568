import type { EachBatchPayload, Kafka, Consumer as KafkaJsConsumer } from 'kafkajs';
import type { TopicPartition } from '../port.js';
import { translating } from './kafka-errors.js';
import type { GroupSettings } from './kafka-options.js';
import { byPartitionNumber } from './partition-assigner.js';

/** Also how long a pause lasts at least, and how soon a stop is noticed. */
const MAX_WAIT_MS = 200;
const REBALANCE_TIMEOUT_MS = 60_000;
const DISCONNECT_TIMEOUT_MS = 5_000;

export type MemberEvents = {
  /** A new generation of the group: what this member has from now on. Another `memberId` than before: others may have had it in between. */
  assigned(memberId: string, partitions: readonly TopicPartition[]): void;
  batch(payload: EachBatchPayload): Promise<void>;
  /** kafkajs gave up; the member is of no use any more. */
  crashed(error: Error): void;
};

type MemberOptions = {
  readonly kafka: Kafka;
  readonly group: string;
  readonly topics: readonly string[];
  /** Of one fetch. */
  readonly maxBytes: number;
  readonly settings: GroupSettings;
  readonly events: MemberEvents;
};

export type Commit = TopicPartition & { readonly offset: number };

/**
 * One life of a kafkajs consumer. It only fetches, beats and rejoins: `batch` puts records aside and returns at once, so a slow handler
 * never keeps a heartbeat or a rebalance waiting. When it gets stuck it is thrown away, and a new one made.
 */
export class GroupMember {
  readonly #consumer: KafkaJsConsumer;
  readonly #topics: readonly string[];
  readonly #events: MemberEvents;
  #alive = true;
  #lastSign = performance.now();

  constructor({ kafka, group, topics, maxBytes, settings, events }: MemberOptions) {
    this.#topics = topics;
    this.#events = events;
    this.#consumer = kafka.consumer({
      groupId: group,
      partitionAssigners: [byPartitionNumber],
      allowAutoTopicCreation: false,
      sessionTimeout: settings.sessionTimeoutMs,
      heartbeatInterval: settings.heartbeatIntervalMs,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      maxWaitTimeInMs: MAX_WAIT_MS,
      maxBytes,
      maxBytesPerPartition: maxBytes,
      // Whoever holds this member restarts, with a new one.
      retry: { restartOnFailure: async () => false },
    });
    this.#listen();
  }

  /** How long nothing was heard of it, in ms. */
  get silentMs(): number {
    return performance.now() - this.#lastSign;
  }

  /** @throws AppError `log/unavailable`, `config/invalid` */
  async start(): Promise<void> {
    await translating(async () => {
      await this.#consumer.connect();
      await this.#consumer.subscribe({ topics: [...this.#topics], fromBeginning: true });
      await this.#consumer.run({
        autoCommit: false,
        eachBatch: async (payload) => {
          if (this.#alive && payload.isRunning() && !payload.isStale()) await this.#events.batch(payload);
        },
      });
    });
  }

  /** @throws AppError `log/*` */
  async commit(commits: readonly Commit[]): Promise<void> {
    await translating(() =>
      this.#consumer.commitOffsets(
        commits.map(({ topic, partition, offset }) => ({ topic, partition, offset: String(offset) })),
      ),
    );
  }

  /** Fetches nothing more, but stays in the group. */
  pause(): void {
    this.#whileRunning(() => this.#consumer.pause(this.#topics.map((topic) => ({ topic }))));
  }

  resume(): void {
    this.#whileRunning(() => this.#consumer.resume(this.#topics.map((topic) => ({ topic }))));
  }

  /** Leaves the group. A member that is stuck is left behind: its session ends by itself. */
  async dispose(): Promise<void> {
    this.#alive = false;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DISCONNECT_TIMEOUT_MS);
    });
    await Promise.race([this.#consumer.disconnect().catch(() => {}), patience]);
    clearTimeout(timer);
  }

  /** kafkajs refuses when it is about to crash, which `crashed` will tell. */
  #whileRunning(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'KafkaJSNonRetriableError') throw error;
    }
  }

  #listen(): void {
    const { CONNECT, FETCH, HEARTBEAT, GROUP_JOIN, CRASH } = this.#consumer.events;
    const sign = () => {
      this.#lastSign = performance.now();
    };
    this.#consumer.on(CONNECT, sign);
    this.#consumer.on(FETCH, sign);
    this.#consumer.on(HEARTBEAT, sign);
    this.#consumer.on(GROUP_JOIN, ({ payload: { memberId, memberAssignment } }) => {
      sign();
      const partitions = Object.entries(memberAssignment).flatMap(([topic, numbers]) =>
        numbers.map((partition) => ({ topic, partition })),
      );
      if (this.#alive) this.#events.assigned(memberId, partitions);
    });
    this.#consumer.on(CRASH, ({ payload: { error } }) => {
      if (this.#alive) this.#events.crashed(error);
    });
  }
}
