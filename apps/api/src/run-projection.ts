import { type AnyEvent, type FleetSpec, fromMessage, type GuestId, type Message, type RunId } from '@pvtrail/contracts';

export const RUN_STATES = ['running', 'completed', 'failed', 'cancelled'] as const;
type RunState = (typeof RUN_STATES)[number];

export interface RunStatus {
  readonly runId: RunId;
  readonly label: string;
  readonly state: RunState;
  readonly guests: number;
  /** Finished or failed, with everything stored. */
  readonly done: number;
  readonly failed: number;
  readonly requestedAt: string;
  readonly endedAt: string | null;
}

type GuestEnd = 'finished' | 'failed';

interface Run {
  request:
    | {
        readonly fleet: FleetSpec;
        readonly guests: readonly GuestId[];
        readonly time: string;
        readonly traceparent: string | undefined;
      }
    | undefined;
  outcome: { readonly state: Exclude<RunState, 'running'>; readonly time: string } | undefined;
  readonly ended: Map<GuestId, GuestEnd>;
  /** Guests whose own request is in the log. */
  readonly requested: Set<GuestId>;
}

const OUTCOMES = { RunCompleted: 'completed', RunFailed: 'failed', RunCancelled: 'cancelled' } as const;

const isOutcome = (type: string): type is keyof typeof OUTCOMES => type in OUTCOMES;

/**
 * The state of all runs, folded from the messages of the topics of runs and guests. Events of different topics may come in any
 * order, those of one run or guest in theirs; repetitions change nothing.
 */
export class RunProjection {
  readonly #runs = new Map<RunId, Run>();

  /** @returns the run that the message is about, if the message is part of its state */
  apply(message: Message): RunId | undefined {
    const type = message.headers.ce_type ?? '';
    if (type === 'GuestRequested') {
      // most of the log's bytes are payloads that do not matter here
      const run = this.#run(message.headers.ce_runid as RunId);
      run.requested.add(message.key as GuestId);
      return run.ended.delete(message.key as GuestId) ? (message.headers.ce_runid as RunId) : undefined;
    }
    if (type !== 'GuestAnalysed' && type !== 'RunRequested' && !isOutcome(type)) return undefined;
    const event = fromMessage(message);
    this.#change(this.#run(event.runId), event);
    return event.runId;
  }

  /** What the store says of guests that ended before the messages that were applied. */
  note(runId: RunId, guests: readonly { readonly guestId: GuestId; readonly state: GuestEnd }[]): void {
    const run = this.#run(runId);
    for (const { guestId, state } of guests) run.ended.set(guestId, state);
  }

  /** undefined for a run that was never requested. */
  status(runId: RunId): RunStatus | undefined {
    const run = this.#runs.get(runId);
    if (run?.request === undefined) return undefined;
    const { fleet, guests, time } = run.request;
    const ends = guests.flatMap((guest) => run.ended.get(guest) ?? []);
    return {
      runId,
      label: fleet.label,
      state: run.outcome?.state ?? 'running',
      guests: guests.length,
      done: ends.length,
      failed: ends.filter((end) => end === 'failed').length,
      requestedAt: time,
      endedAt: run.outcome?.time ?? null,
    };
  }

  fleet(runId: RunId): FleetSpec | undefined {
    return this.#runs.get(runId)?.request?.fleet;
  }

  /** The trace context of the run's request. */
  traceparent(runId: RunId): string | undefined {
    return this.#runs.get(runId)?.request?.traceparent;
  }

  wasRequested(runId: RunId, guest: GuestId): boolean {
    return this.#runs.get(runId)?.requested.has(guest) ?? false;
  }

  /** Guests of the run that failed. */
  failedGuests(runId: RunId): GuestId[] {
    const run = this.#runs.get(runId);
    return run?.request?.guests.filter((guest) => run.ended.get(guest) === 'failed') ?? [];
  }

  /** Newest request first. */
  statuses(): RunStatus[] {
    return [...this.#runs.keys()]
      .flatMap((runId) => this.status(runId) ?? [])
      .sort((a, b) => b.requestedAt.localeCompare(a.requestedAt) || a.runId.localeCompare(b.runId));
  }

  #change(run: Run, event: AnyEvent): void {
    const { time, traceparent } = event;
    if (event.type === 'RunRequested') {
      run.request = { fleet: event.payload.fleet, guests: event.payload.guests, time, traceparent };
      run.outcome = undefined;
    } else if (event.type === 'GuestAnalysed') run.ended.set(event.payload.guestId, event.payload.state);
    else if (isOutcome(event.type)) run.outcome = { state: OUTCOMES[event.type], time };
  }

  #run(runId: RunId): Run {
    const known = this.#runs.get(runId);
    if (known) return known;
    const run: Run = { request: undefined, outcome: undefined, ended: new Map(), requested: new Set() };
    this.#runs.set(runId, run);
    return run;
  }
}
