import { promisify } from 'node:util';
import zlib from 'node:zlib';
import kafkajs, { type Kafka, type KafkaConfig, type logCreator, type RetryOptions, type SASLOptions } from 'kafkajs';
import type { KafkaLogEntry, KafkaLogOptions } from './kafka-options.js';
import { retrying } from './kafka-retry.js';
import { patchRequestTimers } from './kafkajs-internals.js';

// kafkajs is CommonJS: only its default export carries the enumerations.
const { CompressionCodecs, CompressionTypes, logLevel } = kafkajs;

patchRequestTimers();

const compress = promisify(zlib.zstdCompress);
const decompress = promisify(zlib.zstdDecompress);

CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: ({ buffer }: { readonly buffer: Buffer }) => compress(buffer),
  decompress: (buffer: Buffer) => decompress(buffer),
});

/** Attempts are spread over about 30 s: a broker that was killed needs up to 15 s to come back. */
const RETRY = { initialRetryTime: 100, maxRetryTime: 2_000, retries: 18 };
const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 30_000;

/** kafkajs calls ordinary answers of the protocol errors; whatever really fails is thrown, or a warning of the consumer. */
const LEVELS: Record<number, KafkaLogEntry['level']> = {
  [logLevel.ERROR]: 'info',
};

const loggerTo =
  (onLog: KafkaLogOptions['onLog']): logCreator =>
  () =>
  ({ level, namespace, log: { message, timestamp: _, ...details } }) =>
    onLog?.({ level: LEVELS[level] ?? 'debug', message: `${namespace}: ${message}`, details });

/** A client of the cluster. Consumers get one each: kafkajs keeps committed offsets by group in it. */
export const createKafka = (
  { brokers, clientId, tls, sasl, onLog }: KafkaLogOptions,
  retry: RetryOptions = RETRY,
): Kafka => {
  const config: KafkaConfig = {
    brokers: [...brokers],
    clientId,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry,
    logLevel: logLevel.INFO,
    logCreator: loggerTo(onLog),
    ...(tls === undefined ? {} : { ssl: tls }),
    // A copy: kafkajs keeps the credentials that it used first in the object, under another name.
    ...(sasl === undefined ? {} : { sasl: { ...sasl } as SASLOptions }),
  };
  return new kafkajs.Kafka(config);
};

/**
 * Asks the cluster who it is: waits for a broker that is about to start, but says at once what waiting cannot mend.
 * @throws AppError `log/unavailable`, `config/invalid`
 */
export const probeCluster = (options: KafkaLogOptions): Promise<void> =>
  retrying(async () => {
    const admin = createKafka(options, { retries: 0 }).admin();
    try {
      await admin.connect();
      await admin.describeCluster();
    } finally {
      await admin.disconnect();
    }
  });
