import type { ColumnStore } from '@pvtrail/column-store';
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
import type { Batch, Consumer, EventLog } from '@pvtrail/event-log';
import { imageSetOf, openKernelImages } from '@pvtrail/kernel-images';
import type { Digest } from '@pvtrail/primitives';
import { annotate, processing, withSpan } from '@pvtrail/telemetry';

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

export interface RunProgress {
  readonly guests: number;
  /** Finished or failed, with everything stored. */
  readonly done: number;
  readonly failed: number;
  /** Done before this start: taken over, not computed again. */
  readonly resumed: number;
}

export interface RunOutcome {
  readonly state: 'completed' | 'failed';
  readonly progress: RunProgress;
}

interface ActiveRun {
  readonly plan: RunPlan;
  readonly open: Set<GuestId>;
  readonly failed: Set<GuestId>;
  readonly resumed: number;
  readonly onProgress: (progress: RunProgress) => void;
  readonly end: (outcome: RunOutcome) => void;
}

/** Starts runs, follows them in the log and says when they are over. A run that was interrupted goes on where its store ends. */
export class RunCoordinator {
  readonly #log: EventLog;
  readonly #store: ColumnStore;
  readonly #imagesRoot: string | undefined;
  readonly #consumer: Consumer;
  readonly #runs = new Map<RunId, ActiveRun>();

  constructor({ log, store, imagesRoot }: { log: EventLog; store: ColumnStore; imagesRoot?: string | undefined }) {
    this.#log = log;
    this.#store = store;
    this.#imagesRoot = imagesRoot;
    this.#consumer = log.consume(
      {
        group: 'api',
        topics: [TOPICS.guests],
        maxRecords: 256,
        maxBytes: 8 << 20,
        retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 },
      },
      (batch) => this.#follow(batch),
    );
  }

  /** Rejects when the log can no longer be followed. */
  get finished(): Promise<void> {
    return this.#consumer.finished;
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
   * Computes what of the plan is not stored yet; resolves when all of it is.
   * @param force computes everything anew, under the same ids
   */
  execute(plan: RunPlan, force: boolean, onProgress: (progress: RunProgress) => void = () => {}): Promise<RunOutcome> {
    const attributes = { runId: plan.runId, guests: plan.guests.length };
    return withSpan('run', attributes, async () => {
      const outcome = await this.#execute(plan, force, onProgress);
      annotate({ state: outcome.state });
      return outcome;
    });
  }

  async #execute(plan: RunPlan, force: boolean, onProgress: (progress: RunProgress) => void): Promise<RunOutcome> {
    if (force) await this.#store.forget(plan.guests.map(({ guestId }) => guestId));
    const stored = await this.#store.guests(plan.runId);
    const done = new Set(stored.map(({ guestId }) => guestId));
    const missing = plan.guests.filter(({ guestId }) => !done.has(guestId));
    const failed = new Set(stored.filter(({ state }) => state === 'failed').map(({ guestId }) => guestId));
    if (missing.length === 0) return outcomeOf(plan, failed, done.size, 0);
    const ended = new Promise<RunOutcome>((end) => {
      const open = new Set(missing.map(({ guestId }) => guestId));
      this.#runs.set(plan.runId, { plan, open, failed, resumed: done.size, onProgress, end });
    });
    await this.#publish(plan.runId, 'RunRequested', {
      runId: plan.runId,
      fleet: plan.fleet,
      guests: plan.guests.map(({ guestId }) => guestId),
    });
    for (const guest of missing) await this.#publish(plan.runId, 'GuestRequested', { runId: plan.runId, ...guest });
    return Promise.race([ended, this.#consumer.finished.then(() => ended)]);
  }

  async #follow({ records }: Batch): Promise<undefined> {
    for (const record of records) {
      const event = fromMessage(record);
      if (event.type !== 'GuestAnalysed') continue;
      await processing(record, () => this.#guestDone(event.runId, event.payload));
    }
    return undefined;
  }

  async #guestDone(runId: RunId, { guestId, state }: PayloadOf<'GuestAnalysed'>): Promise<void> {
    const run = this.#runs.get(runId);
    if (!run?.open.delete(guestId)) return;
    if (state === 'failed') run.failed.add(guestId);
    const { plan, failed, resumed } = run;
    const outcome = outcomeOf(plan, failed, resumed, run.open.size);
    run.onProgress(outcome.progress);
    if (run.open.size > 0) return;
    this.#runs.delete(runId);
    await this.#close(run, outcome);
    run.end(outcome);
  }

  async #close({ plan: { runId }, failed }: ActiveRun, outcome: RunOutcome): Promise<void> {
    if (outcome.state === 'failed') {
      const message = `${failed.size} of ${outcome.progress.guests} guests failed; their GuestFailed events say why`;
      return this.#publish(runId, 'RunFailed', { runId, code: 'run/failed', message, failedGuests: [...failed] });
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

  async #publish<T extends EventTypeName>(runId: RunId, type: T, payload: PayloadOf<T>): Promise<void> {
    const event = makeEvent(type, payload, { runId, time: new Date() });
    await this.#log.publish(topicOf(type), [toMessage(event as AnyEvent)]);
  }
}

const outcomeOf = ({ guests }: RunPlan, failed: ReadonlySet<GuestId>, resumed: number, open: number): RunOutcome => ({
  state: failed.size > 0 ? 'failed' : 'completed',
  progress: { guests: guests.length, done: guests.length - open, failed: failed.size, resumed },
});
