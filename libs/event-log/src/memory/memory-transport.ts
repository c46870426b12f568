import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import { Delivery } from '../delivery.js';
import type { Consumer, EventLog, Handler, LogRecord, Subscription } from '../port.js';

/** The part of an event log that moves messages on. */
export type Transport = Pick<EventLog, 'publish' | 'consume'>;

/**
 * Hands messages from producers to one consumer a topic inside a process and forgets them: for trace chunks, which can be made again at
 * any time. Each key under way is a partition of its own: its messages come in order, those of other keys beside them.
 * `publish` resolves when the consumer has taken its messages, so that a fast producer waits for a slow consumer.
 */
export class MemoryTransport implements Transport {
  readonly #topics = new Map<string, Topic>();

  async publish(topic: string, messages: readonly Message[]): Promise<void> {
    await this.#topic(topic).put(messages);
  }

  consume(subscription: Subscription, handler: Handler): Consumer {
    const [topic, ...others] = subscription.topics;
    if (topic === undefined || others.length > 0)
      throw new AppError('input/invalid', 'a memory consumer has exactly one topic');
    return this.#topic(topic).attach(subscription, handler);
  }

  #topic(name: string): Topic {
    const known = this.#topics.get(name);
    if (known) return known;
    const topic = new Topic(name);
    this.#topics.set(name, topic);
    return topic;
  }
}

type Waiting = {
  readonly record: LogRecord;
  readonly taken: () => void;
  readonly refused: (error: unknown) => void;
};

/** The messages of one key that wait, and whether some are being handled. */
type Lane = { readonly partition: number; readonly waiting: Waiting[]; handled: Promise<void> | undefined };

class Topic {
  readonly #name: string;
  readonly #lanes = new Map<string, Lane>();
  #partitions = 0;
  #offset = 0;
  #consumer: LaneConsumer | undefined;
  /** What ended the consumer: nobody will take messages any more. */
  #failure: { readonly error: unknown } | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  async put(messages: readonly Message[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const taken = messages.map(
      (message) =>
        new Promise<void>((resolve, reject) => {
          const lane = this.#lane(message.key);
          const record = { ...message, topic: this.#name, partition: lane.partition, offset: this.#offset++ };
          lane.waiting.push({ record, taken: resolve, refused: reject });
        }),
    );
    for (const { key } of messages) this.#run(key);
    await Promise.all(taken);
  }

  attach(subscription: Subscription, handler: Handler): Consumer {
    if (this.#consumer !== undefined) throw new AppError('log/locked', `${this.#name} has a consumer already`);
    const consumer = new LaneConsumer(this.#name, subscription, handler);
    this.#consumer = consumer;
    for (const key of this.#lanes.keys()) this.#run(key);
    return {
      started: Promise.resolve(),
      finished: consumer.finished,
      drained: () => Promise.race([this.#drained(), consumer.finished]),
      stop: async () => {
        consumer.stopping = true;
        await Promise.all([...this.#lanes.values()].map(({ handled }) => handled));
        this.#consumer = undefined;
        consumer.end();
        await consumer.finished;
      },
    };
  }

  async #drained(): Promise<void> {
    while (this.#lanes.size > 0) await Promise.all([...this.#lanes.values()].map(({ handled }) => handled));
  }

  #lane(key: string): Lane {
    const known = this.#lanes.get(key);
    if (known) return known;
    const lane = { partition: this.#partitions++, waiting: [], handled: undefined };
    this.#lanes.set(key, lane);
    return lane;
  }

  /** Hands over what waits for a key, unless that is going on already. */
  #run(key: string): void {
    const consumer = this.#consumer;
    const lane = this.#lanes.get(key);
    if (consumer === undefined || lane === undefined || lane.handled !== undefined) return;
    lane.handled = consumer.handle(lane).then(
      () => {
        lane.handled = undefined;
        if (lane.waiting.length === 0) this.#lanes.delete(key);
      },
      (error: unknown) => this.#fail(consumer, error),
    );
  }

  #fail(consumer: LaneConsumer, error: unknown): void {
    this.#failure = { error };
    const lanes = [...this.#lanes.values()];
    this.#lanes.clear();
    for (const { waiting } of lanes) for (const { refused } of waiting.splice(0)) refused(error);
    consumer.fail(error);
  }
}

class LaneConsumer {
  readonly finished: Promise<void>;
  readonly end: () => void;
  readonly fail: (error: unknown) => void;
  stopping = false;
  readonly #topic: string;
  readonly #subscription: Subscription;
  readonly #handler: Handler;

  constructor(topic: string, subscription: Subscription, handler: Handler) {
    this.#topic = topic;
    this.#subscription = subscription;
    this.#handler = handler;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // A failure is reported to whoever waits on `finished` or `drained`; nobody waiting is no reason to end the process.
    promise.catch(() => {});
    this.finished = promise;
    this.end = resolve;
    this.fail = reject;
  }

  /** Hands over what waits in a lane until nothing does. What fails is refused, and thrown. */
  async handle({ partition, waiting }: Lane): Promise<void> {
    const { maxRecords, retry } = this.#subscription;
    const delivery = new Delivery(this.#handler, retry, {
      // a chunk that cannot be handled has no other place to go: its error ends the consumer
      publishDead: async (_topic, { headers }) => {
        throw new AppError(
          'trace/corrupt-chunk',
          `a message of ${this.#topic} could not be handled: ${headers['dead-message']}`,
        );
      },
      delay: async (ms) => void (await delay(ms)),
      stopping: () => this.stopping,
    });
    while (waiting.length > 0 && !this.stopping) {
      const batch = waiting.splice(0, maxRecords);
      try {
        await delivery.deliver({ topic: this.#topic, partition, records: batch.map(({ record }) => record) });
      } catch (error) {
        for (const { refused } of batch) refused(error);
        throw error;
      }
      for (const { taken } of batch) taken();
    }
  }
}
