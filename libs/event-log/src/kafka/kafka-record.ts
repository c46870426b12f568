import type { Message } from '@pvtrail/contracts';
import kafkajs, { type Message as KafkaMessage, type PartitionMetadata } from 'kafkajs';
import type { LogRecord } from '../port.js';
import type { FetchedMessage } from './kafkajs-internals.js';

/**
 * `<id>:<expected>:<place>`: the append a record belongs to, how many records its stream had to have before it, and the record's place
 * in it. Readers decide by it whether the append counts (stream-index.ts).
 */
const APPEND_HEADER = 'stream-append';

export type Append = { readonly id: string; readonly expected: number; readonly place: number };

const buffer = ({ buffer: bytes, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(bytes as ArrayBuffer, byteOffset, byteLength);

const choosePartition = kafkajs.Partitioners.DefaultPartitioner();

/** The partition of a key: murmur2, as all Kafka clients choose it. */
export const partitionOf = (topic: string, key: string, partitions: number): number =>
  choosePartition({
    topic,
    partitionMetadata: Array.from({ length: partitions }, (_, partitionId) => ({
      partitionId,
      leader: 0,
    })) as PartitionMetadata[],
    message: { key, value: null },
  });

/** Headers stand as they are: CloudEvents' binary content mode and W3C trace context both use message headers. */
export const toKafka = ({ key, value, headers }: Message, partition: number, append?: Append): KafkaMessage => ({
  key,
  value: buffer(value),
  partition,
  headers: {
    ...headers,
    ...(append === undefined ? {} : { [APPEND_HEADER]: `${append.id}:${append.expected}:${append.place}` }),
  },
});

const textOf = (value: unknown): string => {
  const single = Array.isArray(value) ? value.at(-1) : value;
  return Buffer.isBuffer(single) ? single.toString() : String(single ?? '');
};

export type StoredRecord = { readonly record: LogRecord; readonly append: Append | undefined };

const appendOf = (header: string | undefined): Append | undefined => {
  const [id, expected, place] = header?.split(':') ?? [];
  return id === undefined ? undefined : { id, expected: Number(expected), place: Number(place) };
};

export const fromKafka = (topic: string, partition: number, message: FetchedMessage): StoredRecord => {
  const entries = Object.entries(message.headers ?? {}).map(([name, value]) => [name, textOf(value)] as const);
  const { [APPEND_HEADER]: append, ...headers } = Object.fromEntries(entries);
  const record = {
    topic,
    partition,
    offset: Number(message.offset),
    key: message.key?.toString() ?? '',
    value: message.value ?? Buffer.alloc(0),
    headers,
  };
  return { record, append: appendOf(append) };
};
