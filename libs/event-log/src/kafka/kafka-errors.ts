import { AppError, type ErrorCode } from '@pvtrail/primitives';

type KafkaError = Error & {
  /** Name of the protocol's error code, such as NOT_LEADER_FOR_PARTITION. */
  readonly type?: string;
  /** Name of the system's or OpenSSL's error code; a number for the protocol's. */
  readonly code?: string | number;
  readonly cause?: unknown;
};

/** kafkajs wraps what went wrong in what it did about it. */
const rootOf = (error: KafkaError): KafkaError => (error.cause instanceof Error ? rootOf(error.cause) : error);

const CODES: Record<string, readonly [ErrorCode, string]> = {
  MESSAGE_TOO_LARGE: ['log/too-large', 'the messages of one call are larger than the topic takes'],
  RECORD_LIST_TOO_LARGE: ['log/too-large', 'the messages of one call are larger than a log segment'],
  SASL_AUTHENTICATION_FAILED: ['config/invalid', 'the broker refused the credentials'],
  TOPIC_AUTHORIZATION_FAILED: ['config/invalid', 'these credentials may not use the topic'],
  GROUP_AUTHORIZATION_FAILED: ['config/invalid', 'these credentials may not use the group'],
  CLUSTER_AUTHORIZATION_FAILED: ['config/invalid', 'these credentials may not create topics'],
  INVALID_REPLICATION_FACTOR: ['config/invalid', 'there are fewer brokers than replicas asked for'],
  // Any failure of the broker's disk; a full one is the usual.
  KAFKA_STORAGE_ERROR: ['log/disk-full', 'the broker cannot write its disk'],
};

/** What Node answers when it does not trust a certificate, or the certificate is another host's. */
const CERTIFICATE_ERROR = /CERT|UNABLE_TO_VERIFY/;

/** What the library or the network failed with, as an error of the log; others are returned as they are. */
export const translated = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof AppError) return error;
  const root = rootOf(error);
  const isKafka = error.name.startsWith('KafkaJS') || root.name.startsWith('KafkaJS');
  if (!isKafka && !('syscall' in root)) return error;
  if (root.name === 'KafkaJSSASLAuthenticationError') {
    return new AppError('config/invalid', `the broker refused the credentials: ${root.message}`, {}, error);
  }
  if (CERTIFICATE_ERROR.test(String(root.code))) {
    return new AppError('config/invalid', `the broker's certificate is not trusted: ${root.message}`, {}, error);
  }
  const [code, hint] = CODES[root.type ?? ''] ?? ['log/unavailable', 'the broker did not do what was asked'];
  return new AppError(code, `${hint}: ${root.message}`, root.type === undefined ? {} : { kafka: root.type }, error);
};

/** Runs `action`; its failures are those of the log. */
export const translating = async <T>(action: () => Promise<T>): Promise<T> => {
  try {
    return await action();
  } catch (error) {
    throw translated(error);
  }
};

/** Name of the protocol's error code behind an error, if there is one. */
export const protocolError = (error: unknown): string | undefined =>
  error instanceof Error ? rootOf(error).type : undefined;
