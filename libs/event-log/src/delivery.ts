import { deadTopicOf, type Message } from '@pvtrail/contracts';
import { AppError, ERROR_CODES } from '@pvtrail/primitives';
import type { Batch, Handler, LogRecord, RetryPolicy, TopicPartition } from './port.js';

/** What delivery needs of an adapter. */
export type DeliveryPorts = {
  readonly publishDead: (topic: string, message: Message) => Promise<void>;
  readonly delay: (ms: number) => Promise<void>;
  /** True once the consumer should end: no further attempt is made. */
  readonly stopping: () => boolean;
};

const isRetriable = (error: unknown): boolean => error instanceof AppError && ERROR_CODES[error.code].retriable;

const codeOf = (error: unknown): string => (error instanceof AppError ? error.code : 'log/unhandled');

const deadLetter = (record: LogRecord, error: unknown): Message => ({
  key: record.key,
  value: record.value,
  headers: {
    ...record.headers,
    'dead-topic': record.topic,
    'dead-partition': String(record.partition),
    'dead-offset': String(record.offset),
    'dead-code': codeOf(error),
    'dead-message': error instanceof Error ? error.message : String(error),
  },
});

/**
 * Delivers batches in order and keeps the offset that may be committed.
 * A retriable failure (a full disk, a lost store) is tried again and then thrown: the records are good, their turn comes.
 * Any other failure is narrowed down to its record, which goes to the dead-letter topic after its attempts; the rest go on.
 */
export class Delivery {
  readonly #handler: Handler;
  readonly #retry: RetryPolicy;
  readonly #ports: DeliveryPorts;
  /** First record that the handler still gathers, by partition. */
  readonly #held = new Map<string, number>();

  constructor(handler: Handler, retry: RetryPolicy, ports: DeliveryPorts) {
    this.#handler = handler;
    this.#retry = retry;
    this.#ports = ports;
  }

  /** @returns the offset to commit: the first one that must come again after a restart; undefined when stopped midway */
  async deliver(batch: Batch): Promise<number | undefined> {
    const failure = await this.#attempt(batch);
    if (failure === 'stopped') return undefined;
    if (failure !== undefined && batch.records.length > 1) return this.#oneByOne(batch);
    const [record] = batch.records;
    if (failure !== undefined && record !== undefined) {
      await this.#ports.publishDead(deadTopicOf(batch.topic), deadLetter(record, failure.error));
    }
    return this.#held.get(partitionOf(batch)) ?? (batch.records.at(-1)?.offset ?? -1) + 1;
  }

  async #oneByOne(batch: Batch): Promise<number | undefined> {
    let commit: number | undefined;
    for (const record of batch.records) {
      const next = await this.deliver({ ...batch, records: [record] });
      if (next === undefined) return commit;
      commit = next;
    }
    return commit;
  }

  /** undefined: handled. An error that more attempts cannot mend is returned, one that they could is thrown at the end. */
  async #attempt(batch: Batch): Promise<{ readonly error: unknown } | 'stopped' | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.#handler(batch);
        if (answer === undefined) this.#held.delete(partitionOf(batch));
        else this.#held.set(partitionOf(batch), answer.firstUnhandled);
        return undefined;
      } catch (error) {
        const retriable = isRetriable(error);
        const known = error instanceof AppError && !retriable;
        if (known || (!retriable && batch.records.length > 1)) return { error };
        if (attempt >= this.#retry.attempts) {
          if (retriable) throw error;
          return { error };
        }
      }
      if (this.#ports.stopping()) return 'stopped';
      await this.#ports.delay(Math.min(this.#retry.firstDelayMs * 2 ** (attempt - 1), this.#retry.maxDelayMs));
    }
  }
}

const partitionOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;
