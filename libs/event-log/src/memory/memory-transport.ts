import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import { Delivery } from '../delivery.js';
import type { Consumer, EventLog, Handler, LogRecord, Subscription } from '../port.js';

/** The part of an event log that moves messages on. */
export type Transport = Pick<EventLog, 'publish' | 'consume'>;

/**
 * Hands messages from producers to one consumer a topic inside a process and forgets them: for trace chunks, which can be made again at
 * any time. `publish` resolves when the consumer has taken its messages, so that a fast producer waits for a slow consumer.
 */
export class MemoryTransport implements Transport {
  readonly #topics = new Map<string, TopicQueue>();

  async publish(topic: string, messages: readonly Message[]): Promise<void> {
    await this.#queue(topic).put(messages);
  }

  consume(subscription: Subscription, handler: Handler): Consumer {
    const [topic, ...others] = subscription.topics;
    if (topic === undefined || others.length > 0)
      throw new AppError('input/invalid', 'a memory consumer has exactly one topic');
    return this.#queue(topic).attach(subscription, handler);
  }

  #queue(topic: string): TopicQueue {
    const known = this.#topics.get(topic);
    if (known) return known;
    const queue = new TopicQueue(topic);
    this.#topics.set(topic, queue);
    return queue;
  }
}

type Waiting = {
  readonly record: LogRecord;
  readonly taken: () => void;
  readonly refused: (error: unknown) => void;
};

class TopicQueue {
  readonly #topic: string;
  readonly #waiting: Waiting[] = [];
  #offset = 0;
  #wake: () => void = () => {};
  #attached = false;
  /** What ended the consumer: nobody will take messages any more. */
  #failure: unknown;

  constructor(topic: string) {
    this.#topic = topic;
  }

  async put(messages: readonly Message[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const taken = messages.map(
      (message) =>
        new Promise<void>((resolve, reject) => {
          const record = { ...message, topic: this.#topic, partition: 0, offset: this.#offset++ };
          this.#waiting.push({ record, taken: resolve, refused: reject });
        }),
    );
    this.#wake();
    await Promise.all(taken);
  }

  attach(subscription: Subscription, handler: Handler): Consumer {
    if (this.#attached) throw new AppError('log/locked', `${this.#topic} has a consumer already`);
    this.#attached = true;
    let stopping = false;
    let drains: (() => void)[] = [];
    const delivery = new Delivery(handler, subscription.retry, {
      // a chunk that cannot be handled has no other place to go: its error ends the consumer
      publishDead: async (_topic, { headers }) => {
        throw new AppError(
          'trace/corrupt-chunk',
          `a message of ${this.#topic} could not be handled: ${headers['dead-message']}`,
        );
      },
      delay: async (ms) => void (await delay(ms)),
      stopping: () => stopping,
    });
    const run = async (): Promise<void> => {
      while (!stopping) {
        const woken = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        const batch = this.#waiting.splice(0, subscription.maxRecords);
        if (batch.length === 0) {
          for (const resolve of drains.splice(0)) resolve();
          await woken;
          continue;
        }
        try {
          await delivery.deliver({ topic: this.#topic, partition: 0, records: batch.map(({ record }) => record) });
        } catch (error) {
          this.#fail(error, batch);
          throw error;
        }
        for (const { taken } of batch) taken();
      }
      this.#attached = false;
    };
    const finished = run();
    finished.catch(() => {});
    return {
      finished,
      drained: () =>
        Promise.race([
          new Promise<void>((resolve) => {
            drains = [...drains, resolve];
            this.#wake();
          }),
          finished,
        ]),
      stop: async () => {
        stopping = true;
        this.#wake();
        await finished;
      },
    };
  }

  #fail(error: unknown, batch: readonly Waiting[]): void {
    this.#failure = error;
    for (const { refused } of [...batch, ...this.#waiting.splice(0)]) refused(error);
  }
}
