import { AppError, canonicalJson } from '@pvtrail/primitives';
import { z } from 'zod';
import { type AnyEvent, parseEvent } from './events.js';
import { count, digest } from './fields.js';
import { guestIdSchema, runIdSchema } from './ids.js';

/** What a log stores: the key orders, the value is bytes, the headers are text. */
export type Message = {
  readonly key: string;
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** An event as a CloudEvents 1.0 message in binary mode: deterministic payload as the value, metadata as headers. */
export const toMessage = (event: AnyEvent): Message => ({
  key: event.subject,
  value: encoder.encode(canonicalJson(event.payload)),
  headers: {
    'content-type': 'application/json',
    ce_specversion: '1.0',
    ce_id: event.id,
    ce_type: event.type,
    ce_source: 'pvtrail',
    ce_subject: event.subject,
    ce_time: event.time,
    ce_dataversion: String(event.version),
    ce_runid: event.runId,
    ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
  },
});

const parseJson = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw new AppError('event/malformed', 'an event’s value is not JSON', {}, cause);
  }
};

/** @throws AppError `event/unknown-version`, `event/malformed` */
export const fromMessage = ({ key, value, headers }: Message): AnyEvent => {
  const event = parseEvent(
    {
      id: headers.ce_id,
      type: headers.ce_type,
      version: Number(headers.ce_dataversion),
      runId: headers.ce_runid,
      subject: headers.ce_subject,
      time: headers.ce_time,
      ...(headers.traceparent === undefined ? {} : { traceparent: headers.traceparent }),
    },
    parseJson(value),
  );
  if (event.subject !== key) {
    throw new AppError('event/malformed', `an event about ${event.subject} under the key ${key}`);
  }
  return event;
};

const CHUNK_TYPE = 'ChunkProduced';
const CHUNK_VERSION = 1;

/** Header of a message on the trace topic, whose value is the chunk itself (docs/trace-format.md). */
export const chunkProducedSchema = z.strictObject({
  runId: runIdSchema,
  guestId: guestIdSchema,
  /** Place of the chunk in its guest's trace, from 0, without gaps. */
  sequence: count,
  instructions: count,
  /** Size of the canonical uncompressed columns in bytes. */
  rawBytes: count,
  /** Size of the value in bytes. */
  bytes: count,
  /** Over the canonical uncompressed columns. */
  digest,
  /** Whether it is its guest's last chunk. */
  last: z.boolean(),
  /** When it was sent, ISO 8601 in UTC; like `traceparent` metadata of this occurrence. */
  time: z.iso.datetime().optional(),
  traceparent: z.string().max(128).optional(),
});
export type ChunkProduced = z.output<typeof chunkProducedSchema>;

/** A chunk as a message: its key is the guest. */
export const toChunkMessage = (chunk: ChunkProduced, value: Uint8Array): Message => ({
  key: chunk.guestId,
  value,
  headers: {
    'content-type': 'application/octet-stream',
    ce_specversion: '1.0',
    ce_id: `${chunk.guestId}-${chunk.sequence}`,
    ce_type: CHUNK_TYPE,
    ce_source: 'pvtrail',
    ce_subject: chunk.guestId,
    ce_dataversion: String(CHUNK_VERSION),
    ce_runid: chunk.runId,
    sequence: String(chunk.sequence),
    instructions: String(chunk.instructions),
    rawbytes: String(chunk.rawBytes),
    digest: chunk.digest,
    last: String(chunk.last),
    ...(chunk.time === undefined ? {} : { ce_time: chunk.time }),
    ...(chunk.traceparent === undefined ? {} : { traceparent: chunk.traceparent }),
  },
});

const natural = (text: string | undefined): number => (/^\d{1,16}$/.test(text ?? '') ? Number(text) : Number.NaN);

/** @throws AppError `event/unknown-version`, `event/malformed` (also when the key is another guest's) */
export const fromChunkMessage = ({ key, value, headers }: Message): { chunk: ChunkProduced; value: Uint8Array } => {
  if (headers.ce_type !== CHUNK_TYPE) throw new AppError('event/malformed', `no chunk: type '${headers.ce_type}'`);
  if (headers.ce_dataversion !== String(CHUNK_VERSION)) {
    throw new AppError(
      'event/unknown-version',
      `${CHUNK_TYPE} version ${headers.ce_dataversion}; known: ${CHUNK_VERSION}`,
    );
  }
  const result = chunkProducedSchema.safeParse({
    runId: headers.ce_runid,
    guestId: headers.ce_subject,
    sequence: natural(headers.sequence),
    instructions: natural(headers.instructions),
    rawBytes: natural(headers.rawbytes),
    bytes: value.byteLength,
    digest: headers.digest,
    last: headers.last === 'true' ? true : headers.last === 'false' ? false : undefined,
    ...(headers.ce_time === undefined ? {} : { time: headers.ce_time }),
    ...(headers.traceparent === undefined ? {} : { traceparent: headers.traceparent }),
  });
  if (!result.success) {
    throw new AppError('event/malformed', `${CHUNK_TYPE}: ${z.prettifyError(result.error)}`);
  }
  if (result.data.guestId !== key) {
    throw new AppError('event/malformed', `a chunk of ${result.data.guestId} under the key ${key}`);
  }
  return { chunk: result.data, value };
};
