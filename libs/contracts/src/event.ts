import { AppError, canonicalJson, digestOf } from '@pvtrail/primitives';
import { z } from 'zod';
import { guestIdSchema, type RunId, runIdSchema } from './ids.js';
import type { EventTopic } from './topics.js';

/**
 * What surrounds a payload. `payload` is deterministic: equal inputs give equal payloads and equal ids, in any process.
 * `time` and `traceparent` are metadata of this occurrence and take no part in the id.
 */
export type Event<Type extends string, Version extends number, Payload> = {
  /** Hash of type, version, subject and payload: a repetition after a crash is recognised by it. */
  readonly id: string;
  readonly type: Type;
  readonly version: Version;
  readonly runId: RunId;
  /** The key of the message: the run id on the runs topic, else the guest id. */
  readonly subject: string;
  /** When it was recorded, ISO 8601 in UTC. */
  readonly time: string;
  /** W3C trace context of the producer. */
  readonly traceparent?: string | undefined;
  readonly payload: Payload;
};

/** Turns the payload of version n into that of version n + 1. */
export type Upgrade = (payload: unknown) => unknown;

/** One event type: its topic, its current version's schema, and the way from each older version. */
export type EventType = {
  readonly type: string;
  readonly topic: EventTopic;
  readonly version: number;
  readonly schema: z.ZodType;
  /** upgrades[n − 1] leads from version n to n + 1; there are version − 1 of them. */
  readonly upgrades: readonly Upgrade[];
};

export const eventType = <Type extends string, S extends z.ZodType>(
  type: Type,
  topic: EventTopic,
  schema: S,
  upgrades: readonly Upgrade[] = [],
) => ({ type, topic, version: upgrades.length + 1, schema, upgrades }) satisfies EventType;

/** The id of an event. */
export const eventIdOf = (type: string, version: number, subject: string, payload: unknown): string =>
  digestOf(canonicalJson({ type, version, subject, payload })).slice(0, 32);

/** Fields of the envelope that every version of every event has. */
export const envelopeSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  type: z.string(),
  version: z.number().int().min(1),
  runId: runIdSchema,
  subject: z.union([runIdSchema, guestIdSchema]),
  time: z.iso.datetime(),
  traceparent: z.string().max(128).optional(),
});
export type Envelope = z.output<typeof envelopeSchema>;

/**
 * The payload in its current version.
 * @throws AppError `event/unknown-version` for a version this program does not know, `event/malformed` for the rest
 */
export const upgradePayload = (of: EventType, version: number, payload: unknown): unknown => {
  if (version > of.version) {
    throw new AppError(
      'event/unknown-version',
      `${of.type} version ${version}; this program knows up to ${of.version}`,
    );
  }
  const upgraded = of.upgrades.slice(version - 1).reduce<unknown>((older, upgrade) => upgrade(older), payload);
  const result = of.schema.safeParse(upgraded);
  if (result.success) return result.data;
  throw new AppError('event/malformed', `${of.type} version ${version}: ${z.prettifyError(result.error)}`);
};
