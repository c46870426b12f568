import {
  type AnyEvent,
  type EventOf,
  type EventTypeName,
  fromMessage,
  type GuestId,
  type GuestSpec,
  makeEvent,
  type PayloadOf,
  TOPICS,
  toMessage,
  topicOf,
} from '@pvtrail/contracts';
import type { EventLog } from '@pvtrail/event-log';
import { AppError, canonicalJson } from '@pvtrail/primitives';
import { withSpan } from '@pvtrail/telemetry';
import { ChunkSender } from './chunk-sender.js';
import type { PatchInbox } from './patch-inbox.js';
import type { TraceArchive } from './trace-archive.js';
import type { Lease } from './worker-pool.js';
import type { Discovery, FromWorker } from './worker-protocol.js';

export interface ExecutionPorts {
  readonly log: EventLog;
  readonly trace: Pick<EventLog, 'publish'>;
  readonly patches: PatchInbox;
  /** Where chunks are kept beside being sent; nowhere otherwise. */
  readonly archive?: TraceArchive | undefined;
}

/** How a guest ended. Both are facts about the guest; only a broken worker or log is an error. */
export type ExecutionEnd = 'finished' | 'failed';

/**
 * Runs one requested guest in a leased worker: its optimisations, boot, patches, workload, trace. Events that an earlier execution
 * recorded are not recorded again: the guest is deterministic, so they are equal. Only how it ended is said each time, because
 * whoever stores the guest waits to hear it. The worker is released once the guest has finished; its holder releases it otherwise.
 */
export const executeGuest = async (
  requested: EventOf<'GuestRequested'>,
  lease: Lease,
  ports: ExecutionPorts,
): Promise<ExecutionEnd> => {
  const execution = new Execution(requested, lease, ports, await recorderOf(ports.log, requested));
  const { guestId } = requested.payload;
  const booted = await withSpan('boot', { guestId }, () => execution.boot());
  if (booted.kind !== 'booted') return execution.end(booted);
  await withSpan('patch', { guestId }, () => execution.patch(booted.discovery));
  return withSpan('execute', { guestId }, () => execution.execute());
};

/** What a worker reports, besides chunks. */
type News = Exclude<FromWorker, { kind: 'chunk' }>;
type Booted = Extract<News, { kind: 'booted' }>;
type End = Extract<News, { kind: 'finished' | 'failed' }>;

class Execution {
  readonly #requested: EventOf<'GuestRequested'>['payload'];
  readonly #lease: Lease;
  readonly #patches: PatchInbox;
  readonly #record: Record;
  readonly #chunks: ChunkSender;

  constructor({ payload }: EventOf<'GuestRequested'>, lease: Lease, ports: ExecutionPorts, record: Record) {
    this.#requested = payload;
    this.#lease = lease;
    this.#patches = ports.patches;
    this.#record = record;
    this.#chunks = new ChunkSender(ports.trace, ports.archive, lease.credit);
  }

  /** Brings the guest to where its call sites can be patched, unless it fails before. */
  async boot(): Promise<Booted | End> {
    const { guestId, runId, spec, image } = this.#requested;
    const optimisations = await this.#patches.optimisations(guestId, spec);
    this.#lease.send({ kind: 'execute', guestId, runId, spec, optimisations });
    const news = await this.#next();
    if (news.kind === 'workload-started') throw new AppError('guest/failed', `guest ${guestId} did not say it booted`);
    if (news.kind === 'booted') await this.#record('GuestBooted', { guestId, image, instructions: news.instructions });
    return news;
  }

  async patch(discovery: Discovery): Promise<void> {
    const { guestId } = this.#requested;
    await this.#record('CallSitesDiscovered', { guestId, ...discovery });
    this.#lease.send({ kind: 'patch', sites: await this.#patches.callSites(guestId) });
  }

  /** Follows the guest to its end. */
  async execute(): Promise<ExecutionEnd> {
    const { guestId, spec } = this.#requested;
    for (;;) {
      const news = await this.#next();
      if (news.kind === 'finished' || news.kind === 'failed') return this.end(news);
      await this.#record('WorkloadStarted', { guestId, ...workloadOf(spec), instructions: news.instructions });
    }
  }

  async end(end: End): Promise<ExecutionEnd> {
    const { guestId } = this.#requested;
    if (end.kind === 'finished') this.#lease.release('idle'); // for the next guest, while the last chunks of this one are on their way
    await this.#chunks.sent();
    if (end.kind === 'finished') await this.#record('WorkloadFinished', { guestId, ...end.summary });
    else await this.#record('GuestFailed', { guestId, ...end.failure });
    return end.kind;
  }

  /** The next news; chunks that come before are sent on. */
  async #next(): Promise<News> {
    for (;;) {
      const message = await this.#chunks.whileSending(this.#lease.receive());
      if (message.kind !== 'chunk') return message;
      this.#chunks.send(message.chunk, message.value);
    }
  }
}

const workloadOf = ({ workload, footprint, iterations }: GuestSpec) => ({ workload, footprint, iterations });

type Record = <T extends EventTypeName>(type: T, payload: PayloadOf<T>) => Promise<void>;

const isEnd = (type: EventTypeName): boolean => type === 'WorkloadFinished' || type === 'GuestFailed';

/** Records an event unless the log has it. @throws AppError `guest/digest-mismatch` when a repetition does not repeat */
const recorderOf = async (log: EventLog, { runId, subject }: AnyEvent): Promise<Record> => {
  const known = await eventsOf(log, subject as GuestId);
  return async (type, payload) => {
    const event = makeEvent(type, payload, { runId, time: new Date() });
    const earlier = known.find((candidate) => candidate.type === type);
    // not the ids: those of an earlier version of the event differ
    const repeats = canonicalJson(earlier?.payload ?? null) === canonicalJson(event.payload);
    if (earlier === undefined || (repeats && isEnd(type))) {
      return log.publish(topicOf(type), [toMessage(event as AnyEvent)]);
    }
    if (!repeats) {
      throw new AppError(
        'guest/digest-mismatch',
        `guest ${subject} did not repeat itself: its ${type} differs from the recorded one`,
      );
    }
  };
};

const eventsOf = async (log: EventLog, guestId: GuestId): Promise<AnyEvent[]> => {
  const events: AnyEvent[] = [];
  for await (const message of log.read(TOPICS.guests, { key: guestId })) events.push(fromMessage(message));
  return events;
};
