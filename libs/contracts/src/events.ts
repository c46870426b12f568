import { AppError } from '@pvtrail/primitives';
import type { z } from 'zod';
import { type Event, envelopeSchema, eventIdOf, upgradePayload } from './event.js';
import { GUEST_EVENTS } from './events/guest-events.js';
import { PATCH_EVENTS } from './events/patch-events.js';
import { RUN_EVENTS } from './events/run-events.js';
import type { RunId } from './ids.js';
import type { EventTopic } from './topics.js';

/** Every event type, in the order in which a run normally produces them. */
export const EVENT_TYPES = [...RUN_EVENTS, ...GUEST_EVENTS, ...PATCH_EVENTS] as const;

type Declared = (typeof EVENT_TYPES)[number];
export type EventTypeName = Declared['type'];
export type PayloadOf<T extends EventTypeName> = z.output<Extract<Declared, { type: T }>['schema']>;
export type EventOf<T extends EventTypeName> = Event<T, number, PayloadOf<T>>;
/** Any event, discriminated by `type`. */
export type AnyEvent = { [T in EventTypeName]: EventOf<T> }[EventTypeName];

const byName: ReadonlyMap<string, Declared> = new Map(EVENT_TYPES.map((declared) => [declared.type, declared]));

const declaredAs = (type: string): Declared => {
  const declared = byName.get(type);
  if (declared === undefined) throw new AppError('event/malformed', `unknown event type '${type}'`);
  return declared;
};

/** The topic that carries events of this type. */
export const topicOf = (type: EventTypeName): EventTopic => declaredAs(type).topic;

/** What a producer knows besides the payload. */
export type Occurrence = {
  readonly runId: RunId;
  readonly time: Date;
  readonly traceparent?: string | undefined;
};

/**
 * Makes an event of the current version; the subject is the payload's guest id, or the run id for events of a run.
 * @throws AppError `event/malformed` when the payload does not fit its schema
 */
export const makeEvent = <T extends EventTypeName>(
  type: T,
  payload: PayloadOf<T>,
  { runId, time, traceparent }: Occurrence,
): EventOf<T> => {
  const declared = declaredAs(type);
  const checked = upgradePayload(declared, declared.version, payload) as PayloadOf<T>;
  const subject: string = 'guestId' in checked ? checked.guestId : runId;
  return {
    id: eventIdOf(type, declared.version, subject, checked),
    type,
    version: declared.version,
    runId,
    subject,
    time: time.toISOString(),
    ...(traceparent === undefined ? {} : { traceparent }),
    payload: checked,
  };
};

/**
 * Reads an event of any version and hands it over in its current one; id and metadata stay those of the record.
 * @throws AppError `event/unknown-version`, `event/malformed`
 */
export const parseEvent = (envelope: unknown, payload: unknown): AnyEvent => {
  const result = envelopeSchema.safeParse(envelope);
  if (!result.success) {
    throw new AppError('event/malformed', `not an event: ${result.error.issues.map((i) => i.message).join('; ')}`);
  }
  const declared = declaredAs(result.data.type);
  const current = upgradePayload(declared, result.data.version, payload);
  return { ...result.data, version: declared.version, payload: current } as AnyEvent;
};
