import type { ColumnStore } from '@pvtrail/column-store';
import { fromMessage, TOPICS } from '@pvtrail/contracts';
import type { Consumer, EventLog, Subscription } from '@pvtrail/event-log';

const LIMITS: Pick<Subscription, 'maxRecords' | 'maxBytes' | 'retry'> = {
  maxRecords: 1024,
  maxBytes: 16 << 20,
  retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 },
};

/** Copies the event streams into the store, where they can be queried beside the statistics. Delivered again, an event is skipped. */
export class EventCopier {
  readonly #consumer: Consumer;

  constructor(log: EventLog, store: ColumnStore) {
    this.#consumer = log.consume(
      { group: 'analytics-events', topics: [TOPICS.runs, TOPICS.guests, TOPICS.patches], ...LIMITS },
      async ({ records }) => {
        await store.insertEvents(records.map(fromMessage));
        return undefined;
      },
    );
  }

  /** Rejects when the copier cannot go on. */
  get finished(): Promise<void> {
    return this.#consumer.finished;
  }

  /** Copies what is in the log by now, then ends. */
  async stop(): Promise<void> {
    await this.#consumer.drained();
    await this.#consumer.stop();
  }
}
