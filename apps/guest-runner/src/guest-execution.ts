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
import { ChunkSender } from './chunk-sender.js';
import type { PatchInbox } from './patch-inbox.js';
import type { TraceArchive } from './trace-archive.js';
import type { Lease } from './worker-pool.js';

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
  const { guestId, runId, spec } = requested.payload;
  const record = await recorderOf(ports.log, requested);
  const chunks = new ChunkSender(ports.trace, ports.archive, lease.credit);
  const optimisations = await ports.patches.optimisations(guestId, spec);
  lease.send({ kind: 'execute', guestId, runId, spec, optimisations });
  for (;;) {
    const message = await chunks.whileSending(lease.receive());
    switch (message.kind) {
      case 'booted':
        await record('GuestBooted', { guestId, image: requested.payload.image, instructions: message.instructions });
        await record('CallSitesDiscovered', { guestId, ...message.discovery });
        lease.send({ kind: 'patch', sites: await ports.patches.callSites(guestId) });
        break;
      case 'workload-started':
        await record('WorkloadStarted', { guestId, ...workloadOf(spec), instructions: message.instructions });
        break;
      case 'chunk':
        chunks.send(message.chunk, message.value);
        break;
      case 'finished':
        lease.release('idle'); // for the next guest, while the last chunks of this one are on their way
        await chunks.sent();
        await record('WorkloadFinished', { guestId, ...message.summary });
        return 'finished';
      case 'failed':
        await chunks.sent();
        await record('GuestFailed', { guestId, ...message.failure });
        return 'failed';
    }
  }
};

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
