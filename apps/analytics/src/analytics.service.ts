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
  readonly #guests = new Map<GuestId, Promise<GuestState | undefined>>();
  /** Guests of which nothing more is to be stored. */
  readonly #stored = new Set<GuestId>();
  readonly #consumers: readonly Consumer[];
  readonly #copier: EventCopier;

  constructor({ log, trace, store, workers, imagesRoot }: AnalyticsOptions) {
    this.#log = log;
    this.#store = store;
    this.#workers = Array.from({ length: workers }, () => new AnalysisWorker(imagesRoot));
    this.#copier = new EventCopier(log, store);
    this.#consumers = [
      trace.consume(
        { group: 'analytics-trace', topics: [TOPICS.trace], maxRecords: 8, maxBytes: 16 << 20, retry: RETRY },
        (batch) => this.#handleChunks(batch),
      ),
      log.consume(
        { group: 'analytics', topics: [TOPICS.guests], maxRecords: 256, maxBytes: 8 << 20, retry: RETRY },
        (batch) => this.#handleEvents(batch),
      ),
    ];
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
      if (event.type === 'WorkloadFinished') await processing(record, () => this.#finish(event));
      if (event.type === 'GuestFailed') await processing(record, () => this.#fail(event));
    }
    return undefined;
  }

  /** Batches of different partitions may come at a time. */
  async #handleChunks({ partition, records }: Batch): Promise<{ firstUnhandled: number } | undefined> {
    await processingBatch(records, () =>
      Promise.all(groupByKey(records).map((ofOneGuest) => this.#handleChunksOf(ofOneGuest))),
    );
    const guests = await Promise.all(this.#guests.values());
    const held = guests.flatMap((guest) => guest?.analysis.heldSince(partition) ?? []);
    return held.length === 0 ? undefined : { firstUnhandled: Math.min(...held) };
  }

  async #handleChunksOf(records: readonly LogRecord[]): Promise<void> {
    for (const record of records) {
      const { chunk, value } = fromChunkMessage(record);
      const guest = await this.#guest(chunk.guestId);
      if (guest === undefined) return;
      await processing(record, async () => {
        if (await guest.analysis.add(chunk, value, record)) guest.traceStored = true;
        await this.#completeIfAll(guest);
      });
    }
  }

  async #finish(event: EventOf<'WorkloadFinished'>): Promise<void> {
    const guest = await this.#guest(event.payload.guestId);
    if (guest === undefined) return;
    guest.finished = event;
    await this.#completeIfAll(guest);
  }

  async #fail(event: EventOf<'GuestFailed'>): Promise<void> {
    const { guestId, code } = event.payload;
    const guest = await this.#guest(guestId);
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
  async #guest(guestId: GuestId): Promise<GuestState | undefined> {
    if (this.#stored.has(guestId)) return undefined;
    const known = this.#guests.get(guestId);
    if (known) return known;
    const opened = this.#open(guestId);
    this.#guests.set(guestId, opened);
    return opened;
  }

  async #open(guestId: GuestId): Promise<GuestState | undefined> {
    const requested = await this.#requestOf(guestId);
    const resume = await this.#store.resumePoint(guestId);
    if (resume.kind === 'complete' && (await this.#hasEnded(requested.payload))) {
      this.#stored.add(guestId);
      return undefined;
    }
    const [checkpoint, nextChunk] =
      resume.kind === 'after-unit' ? [resume.checkpoint, resume.nextChunk] : [undefined, 0];
    const worker = leastLoaded(this.#workers);
    worker.open(guestId, requested.payload.spec, checkpoint);
    const analysis = new GuestAnalysis(guestId, worker, this.#store, nextChunk);
    return { requested, worker, analysis, traceStored: resume.kind === 'complete' };
  }

  async #hasEnded({ runId, guestId }: EventOf<'GuestRequested'>['payload']): Promise<boolean> {
    return (await this.#store.guests(runId)).some((guest) => guest.guestId === guestId);
  }

  async #requestOf(guestId: GuestId): Promise<EventOf<'GuestRequested'>> {
    for await (const record of this.#log.read(TOPICS.guests, { key: guestId })) {
      const event = fromMessage(record);
      if (event.type === 'GuestRequested') return event;
    }
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
