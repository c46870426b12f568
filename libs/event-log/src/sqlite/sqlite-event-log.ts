import type { Message } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import type { Consumer, EventLog, EventLogReader, Handler, LogRecord, ReadRange, Subscription } from '../port.js';
import { LogFile } from './log-file.js';
import { SqliteConsumer } from './sqlite-consumer.js';
import { lockWriter } from './writer-lock.js';

/** Records and bytes that one step of a read takes into memory. */
const PAGE_RECORDS = 256;
const PAGE_BYTES = 8 << 20;

async function* pages(log: LogFile, topic: string, { key, from = 0 }: ReadRange): AsyncGenerator<LogRecord> {
  let next = from;
  for (;;) {
    const records = log.page(topic, next, PAGE_RECORDS, PAGE_BYTES, key);
    const last = records.at(-1);
    if (last === undefined) return;
    yield* records;
    next = last.offset + 1;
  }
}

/**
 * The log of one machine. One process writes and consumes; others may read beside it.
 *
 * Every topic has one partition: within one process partitions would add nothing, because the work behind a consumer is spread
 * over worker threads by key and a group has one consumer.
 */
class SqliteEventLog implements EventLog {
  readonly #log: LogFile;
  readonly #unlock: () => void;
  readonly #consumers = new Map<SqliteConsumer, Subscription>();

  constructor(log: LogFile, unlock: () => void) {
    this.#log = log;
    this.#unlock = unlock;
  }

  async append(
    topic: string,
    key: string,
    messages: readonly Omit<Message, 'key'>[],
    expectedVersion?: number,
  ): Promise<number> {
    const version = this.#log.transaction(() => {
      const found = this.#log.versionOf(topic, key);
      if (expectedVersion !== undefined && found !== expectedVersion) {
        throw new AppError('log/concurrency', `${topic} ${key} has ${found} records, not ${expectedVersion}`, {
          found,
        });
      }
      return messages.reduce((_, message) => this.#log.add(topic, { ...message, key }), found);
    });
    this.#notify();
    return version;
  }

  async publish(topic: string, messages: readonly Message[]): Promise<void> {
    this.#log.transaction(() => {
      for (const message of messages) this.#log.add(topic, message);
    });
    this.#notify();
  }

  read(topic: string, range: ReadRange = {}): AsyncIterable<LogRecord> {
    return pages(this.#log, topic, range);
  }

  consume(subscription: Subscription, handler: Handler): Consumer {
    for (const { group, topics } of this.#consumers.values()) {
      if (group === undefined || group !== subscription.group) continue;
      const topic = topics.find((name) => subscription.topics.includes(name));
      if (topic !== undefined) throw new AppError('log/locked', `group ${group} has a consumer of ${topic} already`);
    }
    const consumer = new SqliteConsumer(this.#log, subscription, handler, () => this.#notify());
    this.#consumers.set(consumer, subscription);
    const forget = () => this.#consumers.delete(consumer);
    consumer.finished.then(forget, forget);
    return consumer;
  }

  async truncate(topic: string, _partition: number, before: number): Promise<void> {
    this.#log.truncate(topic, before);
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#consumers.keys()].map((consumer) => consumer.stop()));
    this.#log.close();
    this.#unlock();
  }

  #notify(): void {
    for (const consumer of this.#consumers.keys()) consumer.notify();
  }
}

export type SqliteLogOptions = {
  /** Made with its folder when missing; `-wal`, `-shm` and `.lock` stand beside it. */
  readonly file: string;
  /** Upper bound of the file's size in bytes; reaching it is `log/disk-full`. None unless given. */
  readonly maxBytes?: number;
};

/** Opens the log for writing. @throws AppError `log/locked` while another process has it open so, `log/unavailable`, `log/disk-full` */
export const openSqliteLog = ({ file, maxBytes }: SqliteLogOptions): EventLog => {
  const unlock = lockWriter(file);
  try {
    return new SqliteEventLog(new LogFile({ file, access: 'write', maxBytes }), unlock);
  } catch (error) {
    unlock();
    throw error;
  }
};

/** Opens an existing log for reading, also while another process writes it. @throws AppError `log/unavailable` */
export const openSqliteLogReader = (file: string): EventLogReader => {
  const log = new LogFile({ file, access: 'read' });
  return {
    read: (topic, range = {}) => pages(log, topic, range),
    close: async () => log.close(),
  };
};
