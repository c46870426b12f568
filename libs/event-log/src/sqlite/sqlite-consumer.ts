import { setTimeout as delay } from 'node:timers/promises';
import { Delivery } from '../delivery.js';
import type { Batch, Consumer, Handler, Subscription } from '../port.js';
import type { LogFile } from './log-file.js';

/** Reads on from the committed offsets, one batch at a time, always the topic whose next record is oldest. */
export class SqliteConsumer implements Consumer {
  readonly started = Promise.resolve();
  readonly finished: Promise<void>;
  readonly #log: LogFile;
  readonly #subscription: Subscription;
  readonly #delivery: Delivery;
  readonly #positions: Map<string, number>;
  #stopping = false;
  #wake: () => void = () => {};
  #waitingForDrain: (() => void)[] = [];

  constructor(log: LogFile, subscription: Subscription, handler: Handler, notify: () => void) {
    this.#log = log;
    this.#subscription = subscription;
    const { group, topics } = subscription;
    this.#positions = new Map(
      topics.map((topic) => [topic, group === undefined ? log.end(topic) : log.committed(group, topic)]),
    );
    this.#delivery = new Delivery(handler, subscription.retry, {
      publishDead: async (topic, message) => {
        log.transaction(() => log.add(topic, message));
        notify();
      },
      delay: async (ms) => {
        if (ms > 0) await delay(ms);
      },
      stopping: () => this.#stopping,
    });
    this.finished = this.#run();
    // A failure is reported to whoever waits on `finished` or `drained`; nobody waiting is no reason to end the process.
    this.finished.catch(() => {});
  }

  /** Something was added to the log. */
  notify(): void {
    this.#wake();
  }

  drained(): Promise<void> {
    const drained = new Promise<void>((resolve) => {
      this.#waitingForDrain.push(resolve);
      this.#wake();
    });
    return Promise.race([drained, this.finished]);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.finished;
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    while (!this.#stopping) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const batch = this.#nextBatch();
      if (batch === undefined) {
        for (const resolve of this.#waitingForDrain.splice(0)) resolve();
        await woken;
        continue;
      }
      const commit = await this.#delivery.deliver(batch);
      const { group } = this.#subscription;
      if (commit !== undefined && group !== undefined) this.#log.commit(group, batch.topic, commit);
    }
  }

  #nextBatch(): Batch | undefined {
    const { topics, maxRecords, maxBytes } = this.#subscription;
    const [oldest] = topics
      .map((topic) => ({ topic, offset: this.#log.firstOffset(topic, this.#positions.get(topic) ?? 0) }))
      .filter((next): next is { topic: string; offset: number } => next.offset !== undefined)
      .sort((a, b) => a.offset - b.offset);
    if (oldest === undefined) return undefined;
    const records = this.#log.page(oldest.topic, oldest.offset, maxRecords, maxBytes);
    this.#positions.set(oldest.topic, (records.at(-1)?.offset ?? oldest.offset) + 1);
    return { topic: oldest.topic, partition: 0, records };
  }
}
