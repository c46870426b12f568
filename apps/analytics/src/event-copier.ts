import { setTimeout as delay } from 'node:timers/promises';
import type { ColumnStore } from '@pvtrail/column-store';
import { fromMessage, TOPICS } from '@pvtrail/contracts';
import type { Consumer, EventLog, Subscription } from '@pvtrail/event-log';
import { processingBatch } from '@pvtrail/telemetry';

const LIMITS: Pick<Subscription, 'maxRecords' | 'maxBytes' | 'retry'> = {
  maxRecords: 1024,
  maxBytes: 16 << 20,
  retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 },
};

/** Between two inserts, so that each has many events: an insert costs more than its rows. */
const COLLECT_MS = 2000;

/** Copies the event streams into the store, where they can be queried beside the statistics. Delivered again, an event is skipped. */
export class EventCopier {
  readonly #consumer: Consumer;
  readonly #stopping = new AbortController();

  constructor(log: EventLog, store: ColumnStore) {
    this.#consumer = log.consume(
      { group: 'analytics-events', topics: [TOPICS.runs, TOPICS.guests, TOPICS.patches], ...LIMITS },
      async ({ records }) => {
        await processingBatch(records, () => store.insertEvents(records.map(fromMessage)));
        await this.#collect();
        return undefined;
      },
    );
  }

  /** Rejects when the copier cannot go on. */
  get finished(): Promise<void> {
    return this.#consumer.finished;
  }

  /** Lets events gather; not once the copier is to stop. */
  async #collect(): Promise<void> {
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    await delay(COLLECT_MS, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }

  /** Copies what is in the log by now, then ends. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#consumer.drained();
    await this.#consumer.stop();
  }
}
