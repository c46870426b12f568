import type { ColumnStore } from '@pvtrail/column-store';
import {
  type EventOf,
  fromChunkMessage,
  fromMessage,
  type GuestId,
  makeEvent,
  TOPICS,
  toMessage,
} from '@pvtrail/contracts';
import type { Batch, Consumer, EventLog, LogRecord, Transport } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { processing, processingBatch } from '@pvtrail/telemetry';
import { AnalysisWorker } from './analysis-worker.js';
import { EventCopier } from './event-copier.js';
import { GuestAnalysis } from './guest-analysis.js';

const RETRY = { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 };

export interface AnalyticsOptions {
  readonly log: EventLog;
  readonly trace: Transport;
  readonly store: ColumnStore;
  readonly workers: number;
  readonly imagesRoot?: string | undefined;
}

/** A guest under way, and the partition of the topics of guests and chunks that it came in: the same number in both. */
interface OpenGuest {
  readonly partition: number;
  readonly state: Promise<GuestState | undefined>;
}

interface GuestHistory {
  readonly requested: EventOf<'GuestRequested'>;
  readonly finished: EventOf<'WorkloadFinished'> | undefined;
  readonly analysed: boolean;
}

/** What is known of a guest until it is stored completely. */
interface GuestState {
  readonly requested: EventOf<'GuestRequested'>;
  readonly worker: AnalysisWorker;
  readonly analysis: GuestAnalysis;
  finished?: EventOf<'WorkloadFinished'>;
  traceStored: boolean;
}

/** Turns chunks into statistics in the store, and says of each guest when all of it is there. */
export class AnalyticsService {
  readonly #log: EventLog;
  readonly #store: ColumnStore;
  readonly #workers: readonly AnalysisWorker[];
  /** Guests under way. */
  readonly #guests = new Map<GuestId, OpenGuest>();
  /** Guests of which nothing more is to be stored. */
  readonly #stored = new Set<GuestId>();
  readonly #consumers: readonly Consumer[];
  readonly #copier: EventCopier;

  constructor({ log, trace, store, workers, imagesRoot }: AnalyticsOptions) {
    this.#log = log;
    this.#store = store;
    this.#workers = Array.from({ length: workers }, () => new AnalysisWorker(imagesRoot));
    this.#copier = new EventCopier(log, store);
    // In one log, one group for both topics: so a guest's events come to the member that has its chunks.
    this.#consumers =
      trace === log
        ? [this.#consume(log, [TOPICS.trace, TOPICS.guests])]
        : [this.#consume(trace, [TOPICS.trace]), this.#consume(log, [TOPICS.guests])];
  }

  #consume(transport: Transport, topics: readonly string[]): Consumer {
    return transport.consume(
      {
        group: 'analytics',
        topics,
        maxRecords: topics.includes(TOPICS.trace) ? 8 : 256,
        maxBytes: 16 << 20,
        retry: RETRY,
        revoked: async ({ topic, partition }) => {
          if (topic === TOPICS.trace) await this.#forget(partition);
        },
      },
      (batch) => (batch.topic === TOPICS.trace ? this.#handleChunks(batch) : this.#handleEvents(batch)),
    );
  }

  /** Rejects when the service cannot go on. */
  get finished(): Promise<unknown> {
    return Promise.all([this.#copier, ...this.#consumers].map(({ finished }) => finished));
  }

  /** Ends everything, also after a failure, which `finished` tells. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled([this.#copier, ...this.#consumers].map((consumer) => consumer.stop()));
    await Promise.allSettled(this.#workers.map((worker) => worker.terminate()));
  }

  async #handleEvents({ records }: Batch): Promise<undefined> {
    for (const record of records) {
      const event = fromMessage(record);
      if (event.type === 'WorkloadFinished') await processing(record, () => this.#finish(event, record.partition));
      if (event.type === 'GuestFailed') await processing(record, () => this.#fail(event, record.partition));
    }
    return undefined;
  }

  /** Batches of different partitions may come at a time. */
  async #handleChunks({ partition, records }: Batch): Promise<{ firstUnhandled: number } | undefined> {
    await processingBatch(records, () =>
      Promise.all(groupByKey(records).map((ofOneGuest) => this.#handleChunksOf(ofOneGuest))),
    );
    const guests = await Promise.all([...this.#guests.values()].map(({ state }) => state));
    const held = guests.flatMap((guest) => guest?.analysis.heldSince(partition) ?? []);
    return held.length === 0 ? undefined : { firstUnhandled: Math.min(...held) };
  }

  async #handleChunksOf(records: readonly LogRecord[]): Promise<void> {
    for (const record of records) {
      const { chunk, value } = fromChunkMessage(record);
      const guest = await this.#guest(chunk.guestId, record.partition);
      if (guest === undefined) return;
      await processing(record, async () => {
        if (await guest.analysis.add(chunk, value, record)) guest.traceStored = true;
        await this.#completeIfAll(guest);
      });
    }
  }

  async #finish(event: EventOf<'WorkloadFinished'>, partition: number): Promise<void> {
    const guest = await this.#guest(event.payload.guestId, partition);
    if (guest === undefined) return;
    guest.finished = event;
    await this.#completeIfAll(guest);
  }

  async #fail(event: EventOf<'GuestFailed'>, partition: number): Promise<void> {
    const { guestId, code } = event.payload;
    const guest = await this.#guest(guestId, partition);
    if (guest === undefined) return;
    await this.#store.insertGuest({ ...identityOf(guest.requested), state: 'failed', errorCode: code });
    await this.#announce(guest, 'failed');
  }

  async #completeIfAll(guest: GuestState): Promise<void> {
    if (!guest.traceStored || guest.finished === undefined) return;
    const { guestId: _, ...result } = guest.finished.payload;
    await this.#store.insertGuest({ ...identityOf(guest.requested), state: 'finished', ...result });
    await this.#announce(guest, 'finished');
  }

  async #announce({ requested, worker }: GuestState, state: 'finished' | 'failed'): Promise<void> {
    const { guestId, runId } = requested.payload;
    const event = makeEvent('GuestAnalysed', { guestId, state }, { runId, time: new Date() });
    await this.#log.publish(TOPICS.guests, [toMessage(event)]);
    worker.close(guestId);
    this.#stored.add(guestId);
    this.#guests.delete(guestId);
  }

  /** undefined: the guest is stored completely. */
  async #guest(guestId: GuestId, partition: number): Promise<GuestState | undefined> {
    if (this.#stored.has(guestId)) return undefined;
    const known = this.#guests.get(guestId);
    if (known) return known.state;
    const state = this.#open(guestId);
    this.#guests.set(guestId, { partition, state });
    return state;
  }

  /** Another process goes on with the guests of a partition, from what is stored of them. */
  async #forget(partition: number): Promise<void> {
    const lost = [...this.#guests].filter(([, open]) => open.partition === partition);
    for (const [guestId, { state }] of lost) {
      this.#guests.delete(guestId);
      (await state)?.worker.close(guestId);
    }
  }

  async #open(guestId: GuestId): Promise<GuestState | undefined> {
    const { requested, finished, analysed } = await this.#historyOf(guestId);
    const resume = await this.#store.resumePoint(guestId);
    if (resume.kind === 'complete' && analysed && (await this.#hasEnded(requested.payload))) {
      this.#stored.add(guestId);
      return undefined;
    }
    const [checkpoint, nextChunk] =
      resume.kind === 'after-unit' ? [resume.checkpoint, resume.nextChunk] : [undefined, 0];
    const worker = leastLoaded(this.#workers);
    worker.open(guestId, requested.payload.spec, checkpoint);
    const analysis = new GuestAnalysis(guestId, worker, this.#store, nextChunk);
    const traceStored = resume.kind === 'complete';
    return { requested, worker, analysis, traceStored, ...(finished === undefined ? {} : { finished }) };
  }

  async #hasEnded({ runId, guestId }: EventOf<'GuestRequested'>['payload']): Promise<boolean> {
    return (await this.#store.guests(runId)).some((guest) => guest.guestId === guestId);
  }

  /**
   * What the log says of a guest since it was requested last. A process that died may have handled the guest's end but not its last
   * chunks, or stored it whole without saying so.
   */
  async #historyOf(guestId: GuestId): Promise<GuestHistory> {
    let history: GuestHistory | undefined;
    for await (const record of this.#log.read(TOPICS.guests, { key: guestId })) {
      const event = fromMessage(record);
      if (event.type === 'GuestRequested') history = { requested: event, finished: undefined, analysed: false };
      else if (event.type === 'WorkloadFinished' && history) history = { ...history, finished: event };
      else if (event.type === 'GuestAnalysed' && history) history = { ...history, analysed: true };
    }
    if (history !== undefined) return history;
    throw new AppError('event/malformed', `a trace of guest ${guestId}, which nobody requested`);
  }
}

const identityOf = ({ payload: { runId, guestId, index, spec, image } }: EventOf<'GuestRequested'>) => ({
  runId,
  guestId,
  index,
  spec,
  image,
});

const groupByKey = (records: readonly LogRecord[]): LogRecord[][] => {
  const groups = Map.groupBy(records, ({ key }) => key);
  return [...groups.values()];
};

const leastLoaded = (workers: readonly AnalysisWorker[]): AnalysisWorker => {
  const [first, ...others] = workers;
  if (first === undefined) throw new AppError('config/invalid', 'the analytics service needs at least one worker');
  return others.reduce((best, worker) => (worker.load < best.load ? worker : best), first);
};
