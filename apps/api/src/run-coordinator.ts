import type { ColumnStore, EndedGuest } from '@pvtrail/column-store';
import {
  type AnyEvent,
  type EventTypeName,
  expandFleet,
  type FleetSpec,
  fromMessage,
  type GuestId,
  type GuestSpec,
  guestIdOf,
  makeEvent,
  type PayloadOf,
  type RunId,
  runIdOf,
  TOPICS,
  toMessage,
  topicOf,
} from '@pvtrail/contracts';
import type { Batch, Consumer, EventLog, LogRecord } from '@pvtrail/event-log';
import { imageSetOf, openKernelImages } from '@pvtrail/kernel-images';
import { AppError, type Digest } from '@pvtrail/primitives';
import { continuing, processing, withSpan } from '@pvtrail/telemetry';
import { RunProjection, type RunStatus } from './run-projection.js';

export interface PlannedGuest {
  readonly guestId: GuestId;
  readonly index: number;
  readonly spec: GuestSpec;
  readonly image: Digest;
}

/** What a fleet means before anything runs: the same fleet gives the same ids everywhere. */
export interface RunPlan {
  readonly runId: RunId;
  readonly fleet: FleetSpec;
  readonly guests: readonly PlannedGuest[];
}

export interface RunCoordinatorOptions {
  readonly log: EventLog;
  readonly store: ColumnStore;
  readonly imagesRoot?: string | undefined;
  /** Also runs that were requested before this process: their state is read from the log. Otherwise only those submitted here are known. */
  readonly replay?: boolean;
}

/** Guests requested by one publish. */
const GUESTS_PER_PUBLISH = 256;

type SubmittedRun = RunStatus & { readonly resumed: number };
type StatusListener = (status: RunStatus) => void;
type EventListener = (event: AnyEvent) => void;

/** Starts runs, follows them in the log and says when they are over. A run that was interrupted goes on where its store ends. */
export class RunCoordinator {
  readonly #log: EventLog;
  readonly #store: ColumnStore;
  readonly #imagesRoot: string | undefined;
  readonly #consumer: Consumer;
  readonly #projection = new RunProjection();
  readonly #replayed: Promise<void>;
  readonly #statusListeners = new Map<RunId, Set<StatusListener>>();
  readonly #eventListeners = new Map<RunId, Set<EventListener>>();

  constructor({ log, store, imagesRoot, replay = false }: RunCoordinatorOptions) {
    this.#log = log;
    this.#store = store;
    this.#imagesRoot = imagesRoot;
    // Without a group: every process that shows runs follows all of the log.
    this.#consumer = log.consume(
      {
        topics: [TOPICS.runs, TOPICS.guests, TOPICS.patches],
        maxRecords: 256,
        maxBytes: 8 << 20,
        retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 },
      },
      (batch) => this.#follow(batch),
    );
    this.#replayed = this.#consumer.started.then(() => (replay ? this.#replay() : undefined));
    this.#replayed.catch(() => {});
  }

  /** Rejects when the log can no longer be followed. */
  get finished(): Promise<void> {
    return this.#replayed.then(() => this.#consumer.finished);
  }

  /** Ends, also after a failure, which `finished` tells. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled([this.#consumer.stop()]);
  }

  /** @throws AppError `image/missing` for guests whose kernel is not there, `input/invalid` for too large fleets */
  plan(fleet: FleetSpec): RunPlan {
    const inputs = expandFleet(fleet).map((spec) => {
      const images = openKernelImages(imageSetOf(spec), this.#imagesRoot);
      const patchSets = spec.stage === 'nopv' ? [] : images.patchSets().sets.map(({ hash }) => hash);
      return { spec, image: images.elfDigest(spec.stage), patchSets };
    });
    const runId = runIdOf(inputs, fleet.label);
    const guests = inputs.map((input, index) => ({
      guestId: guestIdOf(runId, index, input),
      index,
      spec: input.spec,
      image: input.image,
    }));
    return { runId, fleet, guests };
  }

  /**
   * Requests what of the plan is neither stored nor under way.
   * @param force everything is forgotten first and computed anew, under the same ids
   * @returns the run's state, and how many of its guests were stored before
   */
  submit(plan: RunPlan, force: boolean): Promise<SubmittedRun> {
    return withSpan('run', { runId: plan.runId, guests: plan.guests.length }, () => this.#submit(plan, force));
  }

  async #submit({ runId, fleet, guests }: RunPlan, force: boolean): Promise<SubmittedRun> {
    await this.#replayed;
    if (force) await this.#store.forget(guests.map(({ guestId }) => guestId));
    const stored = await this.#store.guests(runId);
    const done = new Set(stored.map(({ guestId }) => guestId));
    const unstored = guests.filter(({ guestId }) => !done.has(guestId));
    if (unstored.length === 0)
      return { ...(this.#projection.status(runId) ?? endedStatus(runId, fleet, stored)), resumed: stored.length };
    const running = !force && this.#projection.status(runId)?.state === 'running';
    this.#projection.note(runId, stored);
    if (!running)
      await this.#publish(runId, 'RunRequested', { runId, fleet, guests: guests.map(({ guestId }) => guestId) });
    const missing = unstored.filter(({ guestId }) => !running || !this.#projection.wasRequested(runId, guestId));
    await this.#request(runId, missing);
    return { ...this.status(runId), resumed: stored.length };
  }

  /** @throws AppError `run/unknown` */
  status(runId: RunId): RunStatus {
    const status = this.#projection.status(runId);
    if (status === undefined) throw new AppError('run/unknown', `there is no run ${runId}`);
    return status;
  }

  /** Newest first. */
  statuses(): RunStatus[] {
    return this.#projection.statuses();
  }

  /**
   * Withdraws a run: guests that have not begun will not. Those that are running end and are stored.
   * @throws AppError `run/unknown`, `run/ended`
   */
  async cancel(runId: RunId): Promise<RunStatus> {
    await this.#replayed;
    const { state } = this.status(runId);
    if (state !== 'running') throw new AppError('run/ended', `run ${runId} is ${state} already`);
    await this.#publish(runId, 'RunCancelled', { runId });
    return this.status(runId);
  }

  /** Resolves when the run is over; says before how far it is. @throws AppError `run/unknown` */
  async follow(runId: RunId, onProgress: StatusListener = () => {}): Promise<RunStatus> {
    const ended = Promise.withResolvers<RunStatus>();
    const look = (status: RunStatus): void => {
      onProgress(status);
      if (status.state !== 'running') ended.resolve(status);
    };
    const forget = listen(this.#statusListeners, runId, look);
    try {
      look(this.status(runId));
      return await Promise.race([ended.promise, this.finished.then(() => ended.promise)]);
    } finally {
      forget();
    }
  }

  /** Calls `listener` with each event of the run that is recorded from now on. @returns stops that */
  onEvent(runId: RunId, listener: EventListener): () => void {
    return listen(this.#eventListeners, runId, listener);
  }

  async #replay(): Promise<void> {
    for (const topic of [TOPICS.runs, TOPICS.guests]) {
      for await (const record of this.#log.read(topic)) this.#projection.apply(record);
    }
    for (const { runId, state } of this.#projection.statuses()) {
      if (state !== 'running') continue;
      await continuing(this.#projection.traceparent(runId), () => this.#goOn(runId));
    }
  }

  /** Requests what a process that died between two requests did not, and ends what it did not end. */
  async #goOn(runId: RunId): Promise<void> {
    const fleet = this.#projection.fleet(runId);
    if (fleet === undefined) return;
    const { guests } = this.plan(fleet);
    this.#projection.note(runId, await this.#store.guests(runId));
    await this.#request(
      runId,
      guests.filter(({ guestId }) => !this.#projection.wasRequested(runId, guestId)),
    );
    await this.#endIfDone(runId);
  }

  async #request(runId: RunId, guests: readonly PlannedGuest[]): Promise<void> {
    for (let first = 0; first < guests.length; first += GUESTS_PER_PUBLISH) {
      const requests = guests
        .slice(first, first + GUESTS_PER_PUBLISH)
        .map((guest) => this.#event(runId, 'GuestRequested', { runId, ...guest }));
      await this.#log.publish(TOPICS.guests, requests.map(toMessage));
    }
  }

  async #follow({ records }: Batch): Promise<undefined> {
    await this.#replayed;
    for (const record of records) {
      const changed = record.topic === TOPICS.patches ? undefined : this.#projection.apply(record);
      this.#tellEvent(record);
      if (changed === undefined) continue;
      await processing(record, () => this.#endIfDone(changed));
      this.#tellStatus(changed);
    }
    return undefined;
  }

  #tellEvent(record: LogRecord): void {
    const listeners = this.#eventListeners.get(record.headers.ce_runid as RunId);
    if (listeners === undefined) return;
    const event = fromMessage(record);
    for (const listener of listeners) listener(event);
  }

  #tellStatus(runId: RunId): void {
    const status = this.#projection.status(runId);
    if (status === undefined) return;
    for (const listener of this.#statusListeners.get(runId) ?? []) listener(status);
  }

  /** Several processes may say so: the event is the same, with the same id. */
  async #endIfDone(runId: RunId): Promise<void> {
    const status = this.#projection.status(runId);
    if (status === undefined || status.state !== 'running' || status.done < status.guests) return;
    if (status.failed > 0) {
      const message = `${status.failed} of ${status.guests} guests failed; their GuestFailed events say why`;
      const failedGuests = this.#projection.failedGuests(runId);
      return this.#publish(runId, 'RunFailed', { runId, code: 'run/failed', message, failedGuests });
    }
    const guests = await this.#store.guests(runId);
    const sum = (key: 'instructions' | 'chunks' | 'bytes'): number =>
      guests.reduce((total, guest) => total + (guest.state === 'finished' ? guest[key] : 0), 0);
    return this.#publish(runId, 'RunCompleted', {
      runId,
      guests: guests.length,
      instructions: sum('instructions'),
      chunks: sum('chunks'),
      bytes: sum('bytes'),
    });
  }

  #event<T extends EventTypeName>(runId: RunId, type: T, payload: PayloadOf<T>): AnyEvent {
    return makeEvent(type, payload, { runId, time: new Date() }) as AnyEvent;
  }

  async #publish<T extends EventTypeName>(runId: RunId, type: T, payload: PayloadOf<T>): Promise<void> {
    const message = toMessage(this.#event(runId, type, payload));
    await this.#log.publish(topicOf(type), [message]);
    this.#projection.apply(message); // whoever asks next sees it, before the log brings it back
    this.#tellStatus(runId);
  }
}

/** Of a run that is stored whole although this process has not seen it requested. */
const endedStatus = (runId: RunId, { label }: FleetSpec, stored: readonly EndedGuest[]): RunStatus => {
  const failed = stored.filter(({ state }) => state === 'failed').length;
  const [guests, now] = [stored.length, new Date().toISOString()];
  const state = failed > 0 ? 'failed' : 'completed';
  return { runId, label, state, guests, done: guests, failed, requestedAt: now, endedAt: now };
};

const listen = <L>(listeners: Map<RunId, Set<L>>, runId: RunId, listener: L): (() => void) => {
  const ofRun = listeners.get(runId) ?? new Set();
  listeners.set(runId, ofRun.add(listener));
  return () => {
    ofRun.delete(listener);
    if (ofRun.size === 0) listeners.delete(runId);
  };
};
