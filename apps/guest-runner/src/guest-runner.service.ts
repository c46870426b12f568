import { type EventOf, fromMessage, type GuestId, type RunId, TOPICS } from '@pvtrail/contracts';
import type { Batch, Consumer, EventLog, LogRecord } from '@pvtrail/event-log';
import { annotate, type Links, linksHere, processing, withSpan } from '@pvtrail/telemetry';
import { executeGuest } from './guest-execution.js';
import { PatchInbox } from './patch-inbox.js';
import { TraceArchive } from './trace-archive.js';
import { type Lease, WorkerPool } from './worker-pool.js';

/**
 * Takes requested guests from the log and executes each in a worker thread. A guest counts as handled when it has ended; until then its
 * request stays uncommitted, so that a process that dies leaves it to the next one.
 */
export class GuestRunnerService {
  readonly #log: EventLog;
  readonly #trace: Pick<EventLog, 'publish'>;
  readonly #pool: WorkerPool;
  readonly #patches: PatchInbox;
  readonly #archive: TraceArchive | undefined;
  readonly #consumer: Consumer;
  /** Requests whose executions are under way, in the order of their offsets. */
  readonly #running = new Set<LogRecord>();
  readonly #guests = new Set<GuestId>();
  /** Spans of guests that were executed here and are not analysed yet. */
  readonly #spans = new Map<GuestId, Links>();
  /** No further guest is begun. */
  #stopping = false;
  /** Rejects when an execution broke: not its guest, but the worker or the log. */
  readonly #broken = Promise.withResolvers<never>();

  constructor(options: {
    log: EventLog;
    trace: Pick<EventLog, 'publish'>;
    workers: number;
    imagesRoot?: string | undefined;
    /** Folder in which trace chunks are kept; they are dropped once analysed otherwise. */
    tracesFolder?: string | undefined;
  }) {
    this.#broken.promise.catch(() => {});
    this.#log = options.log;
    this.#trace = options.trace;
    this.#pool = new WorkerPool(options.workers, options.imagesRoot);
    this.#patches = new PatchInbox(options.log);
    this.#archive = options.tracesFolder === undefined ? undefined : new TraceArchive(options.tracesFolder);
    this.#consumer = options.log.consume(
      {
        group: 'guest-runner',
        topics: [TOPICS.guests],
        maxRecords: 64,
        maxBytes: 8 << 20,
        retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 },
      },
      (batch) => this.#handle(batch),
    );
  }

  /** Rejects when the runner cannot go on. */
  get finished(): Promise<unknown> {
    return Promise.all([this.#consumer.finished, this.#patches.finished, this.#broken.promise]);
  }

  /** Ends everything, also after a failure, which `finished` tells. */
  async onApplicationShutdown(): Promise<void> {
    this.#stopping = true;
    await Promise.allSettled([this.#consumer.stop(), this.#patches.stop()]);
    await this.#pool.close();
  }

  async #handle({ partition, records }: Batch): Promise<{ firstUnhandled: number } | undefined> {
    const firstRunning = () => [...this.#running].find((request) => request.partition === partition)?.offset;
    for (const record of records) {
      if (this.#stopping) return { firstUnhandled: firstRunning() ?? record.offset };
      const event = fromMessage(record);
      if (event.type === 'GuestRequested') await processing(record, () => this.#start(record, event));
      if (event.type === 'GuestAnalysed') await this.#linkBack(record, event.payload.guestId);
    }
    const first = firstRunning();
    return first === undefined ? undefined : { firstUnhandled: first };
  }

  /** Waits for a free worker, not for the guest. */
  async #start(request: LogRecord, requested: EventOf<'GuestRequested'>): Promise<void> {
    const { guestId } = requested.payload;
    if (this.#guests.has(guestId) || (await this.#isAnalysedSince(request.offset, guestId))) return;
    this.#guests.add(guestId);
    const { type, bits, paging, stage } = requested.payload.spec;
    const lease = await this.#pool.lease(`${type} ${bits} ${paging} ${stage}`);
    if (await this.#isCancelled(requested.runId)) {
      lease.release('idle');
      this.#guests.delete(guestId);
      return;
    }
    this.#running.add(request);
    void this.#execute(requested, lease)
      .catch((error: unknown) => this.#broken.reject(error))
      .finally(() => {
        this.#running.delete(request);
        this.#guests.delete(guestId);
      });
  }

  /** A request that comes again after a crash may have been fulfilled before it. */
  async #isAnalysedSince(offset: number, guestId: GuestId): Promise<boolean> {
    for await (const record of this.#log.read(TOPICS.guests, { key: guestId, from: offset })) {
      if (fromMessage(record).type === 'GuestAnalysed') return true;
    }
    return false;
  }

  /** The last word about a run counts: it may have been requested again. */
  async #isCancelled(runId: RunId): Promise<boolean> {
    let cancelled = false;
    for await (const { headers } of this.#log.read(TOPICS.runs, { key: runId })) {
      if (headers.ce_type === 'RunRequested') cancelled = false;
      if (headers.ce_type === 'RunCancelled') cancelled = true;
    }
    return cancelled;
  }

  async #execute(requested: EventOf<'GuestRequested'>, lease: Lease): Promise<void> {
    const { runId, guestId, spec } = requested.payload;
    const { type: guestType, bits, stage, workload } = spec;
    try {
      await withSpan('guest', { runId, guestId, guestType, bits, stage, workload }, async () => {
        this.#spans.set(guestId, linksHere());
        const state = await executeGuest(requested, lease, {
          log: this.#log,
          trace: this.#trace,
          patches: this.#patches,
          archive: this.#archive,
        });
        annotate({ state });
      });
    } finally {
      this.#patches.close(guestId);
      lease.release('spent');
    }
  }

  /** Joins the analysis of a guest with its execution, so that a viewer finds either from the other. */
  async #linkBack(analysed: LogRecord, guestId: GuestId): Promise<void> {
    const links = this.#spans.get(guestId);
    this.#spans.delete(guestId);
    if (links !== undefined) await processing(analysed, async () => {}, links);
  }
}
