import type { Message } from '@pvtrail/contracts';

/** A topic has one partition or more; all records of a key lie in the same one. */
export type TopicPartition = {
  readonly topic: string;
  readonly partition: number;
};

/** A message where it lies in the log. Offsets grow within a partition; they need not be without gaps. */
export type LogRecord = Message &
  TopicPartition & {
    readonly offset: number;
  };

/** Consecutive records of one partition, at least one. */
export type Batch = TopicPartition & {
  readonly records: readonly LogRecord[];
};

/**
 * Handles a batch; whatever it did must be durable when its promise resolves, because the offset is committed then.
 * A handler that gathers records over several batches answers with the offset of the first record that is not durable
 * yet: reading goes on behind the batch, but a restart begins there.
 * Batches of one partition come one after the other; those of different partitions may come at a time.
 */
export type Handler = (batch: Batch) => Promise<{ readonly firstUnhandled: number } | undefined>;

/** Delays grow from `firstDelayMs` by a factor of 2 up to `maxDelayMs`. */
export type RetryPolicy = {
  readonly attempts: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
};

export type Subscription = {
  /**
   * Committed offsets belong to the group: each record is handled by one member of each group.
   * A consumer without a group gets every record that is published after `started`, and so does every other such consumer.
   */
  readonly group?: string;
  /** Partitions of the same number go to the same member, so that it has all records of a key if the topics have equally many. */
  readonly topics: readonly string[];
  /** A batch ends at whichever limit comes first; a single larger record still comes. */
  readonly maxRecords: number;
  readonly maxBytes: number;
  readonly retry: RetryPolicy;
  /**
   * The partition went to another member of the group, or may have been elsewhere: what was gathered of it here is to be forgotten.
   * Called when its last batch has been handled, and waited for; when the partition comes back, it begins at the offset that the group has committed by then.
   */
  readonly revoked?: (partition: TopicPartition) => Promise<void> | void;
};

export interface Consumer {
  /** Resolves when this consumer, or its group, will get whatever is published from then on; rejects when it fails before. */
  readonly started: Promise<void>;
  /** Resolves once everything that is in this member's partitions now has been handled; rejects when the consumer fails before. */
  drained(): Promise<void>;
  /** Lets the batch in hand finish, commits it, and ends. */
  stop(): Promise<void>;
  /** Resolves after stop; rejects when a retriable failure outlived its attempts. Nothing is committed or lost then. */
  readonly finished: Promise<void>;
}

export type ReadRange = {
  /** Only records with this key. */
  readonly key?: string;
  /** The first offset to read, in each partition; 0 is the beginning. */
  readonly from?: number;
};

/** Reading alone, also possible beside the process that writes. */
export interface EventLogReader {
  /** Records in order of offset, one partition after the other, until the end of the log as it is when the end is reached. */
  read(topic: string, range?: ReadRange): AsyncIterable<LogRecord>;
  close(): Promise<void>;
}

/**
 * An append-only log of binary messages in topics.
 * Errors of every method: `log/disk-full`, `log/locked`, `log/unavailable`, `log/too-large`.
 */
export interface EventLog extends EventLogReader {
  /**
   * Adds messages to the stream of one key, all or none.
   * @param expectedVersion how many records of this key the writer knows; undefined writes in any case
   * @returns how many records the stream has now
   * @throws AppError `log/concurrency` when the stream has another length than expected
   */
  append(
    topic: string,
    key: string,
    messages: readonly Omit<Message, 'key'>[],
    expectedVersion?: number,
  ): Promise<number>;

  /**
   * Adds messages of any keys, those of one partition all or none; durable against the death of the process when resolved.
   * After an error it may have added them all the same, so that a caller that tries again may add them twice.
   */
  publish(topic: string, messages: readonly Message[]): Promise<void>;

  /** Delivers at least once: everything behind the group's committed offset, then whatever comes. */
  consume(subscription: Subscription, handler: Handler): Consumer;

  /** Forgets records of a partition below `before`, so that the log's space can be used again. Unknown to groups that still need them. */
  truncate(topic: string, partition: number, before: number): Promise<void>;
}
