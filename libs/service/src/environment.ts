import os from 'node:os';
import { type ServerLocation, serverLocationFrom } from '@pvtrail/column-store';
import { TOPICS } from '@pvtrail/contracts';
import type { KafkaLogOptions } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { readConfiguredFile } from '@pvtrail/primitives/node';
import { z } from 'zod';

/** Everything that a service process is told from outside. */
export interface ServiceConfiguration {
  readonly kafka: Omit<KafkaLogOptions, 'clientId'>;
  /** Only of services that use the store. */
  readonly store: ServerLocation | undefined;
  readonly http: { readonly host: string; readonly port: number };
  /** Worker threads of services that have some. */
  readonly workers: number;
  readonly logLevel: LogLevel;
  /** How long a graceful stop may take, in ms. */
  readonly shutdownMs: number;
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

type Environment = Readonly<Record<string, string | undefined>>;

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;
const count = z.coerce.number().int().positive();
const file = z.string().min(1).optional();

const schemaFor = (defaultPort: number) =>
  z
    .object({
      KAFKA_BROKERS: z.string('required: host:port, more of them after commas').min(1),
      KAFKA_PREFIX: z
        .string()
        .regex(/^[\w.-]*$/, 'letters, digits, ., _ and -')
        .optional(),
      KAFKA_TLS: z.stringbool().default(false),
      KAFKA_TLS_CA: file,
      KAFKA_TLS_CERT: file,
      KAFKA_TLS_KEY: file,
      KAFKA_SASL_MECHANISM: z.enum(MECHANISMS).optional(),
      KAFKA_SASL_USERNAME: z.string().min(1).optional(),
      KAFKA_SASL_PASSWORD: z.string().optional(),
      KAFKA_SASL_PASSWORD_FILE: file,
      KAFKA_PARTITIONS: count.max(10_000).optional(),
      KAFKA_REPLICATION: count.max(100).optional(),
      // A guest can be executed again, so its chunks need not outlive a longer stop of the analysis.
      KAFKA_TRACE_RETENTION_HOURS: count.default(72),
      PVTRAIL_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
      PVTRAIL_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(defaultPort),
      PVTRAIL_WORKERS: count.max(1024).default(os.availableParallelism()),
      PVTRAIL_LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
      PVTRAIL_SHUTDOWN_MS: count.default(20_000),
    })
    .superRefine((env, { addIssue }) => {
      const refuse = (name: string, message: string) => addIssue({ code: 'custom', path: [name], message });
      if ((env.KAFKA_TLS_CERT === undefined) !== (env.KAFKA_TLS_KEY === undefined)) {
        refuse('KAFKA_TLS_KEY', 'a certificate and its key go together');
      }
      if (env.KAFKA_SASL_MECHANISM !== undefined && env.KAFKA_SASL_USERNAME === undefined) {
        refuse('KAFKA_SASL_USERNAME', 'needed beside KAFKA_SASL_MECHANISM');
      }
      if (env.KAFKA_SASL_PASSWORD !== undefined && env.KAFKA_SASL_PASSWORD_FILE !== undefined) {
        refuse('KAFKA_SASL_PASSWORD_FILE', 'either this or KAFKA_SASL_PASSWORD');
      }
    });
type Parsed = z.output<ReturnType<typeof schemaFor>>;

/** Names of all variables that a service reads itself; CLICKHOUSE_* and OTEL_* belong to others. */
export const VARIABLES: readonly string[] = Object.keys(schemaFor(0).shape);

const given = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;

const fileOf = (env: Parsed, name: 'KAFKA_TLS_CA' | 'KAFKA_TLS_CERT' | 'KAFKA_TLS_KEY' | 'KAFKA_SASL_PASSWORD_FILE') =>
  env[name] === undefined ? undefined : readConfiguredFile(name, env[name]).toString('utf8');

const kafkaOf = (env: Parsed): ServiceConfiguration['kafka'] => {
  const [ca, cert, key] = [fileOf(env, 'KAFKA_TLS_CA'), fileOf(env, 'KAFKA_TLS_CERT'), fileOf(env, 'KAFKA_TLS_KEY')];
  const password = env.KAFKA_SASL_PASSWORD ?? fileOf(env, 'KAFKA_SASL_PASSWORD_FILE')?.trimEnd() ?? '';
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username = '' } = env;
  return {
    brokers: env.KAFKA_BROKERS.split(',').map((broker) => broker.trim()),
    topics: given({ partitions: env.KAFKA_PARTITIONS, replicationFactor: env.KAFKA_REPLICATION }),
    // Chunks are compressed already; events are kept for ever, because state is rebuilt from them.
    topicsByName: {
      [TOPICS.trace]: { retentionMs: env.KAFKA_TRACE_RETENTION_HOURS * 3_600_000, compression: 'none' },
    },
    ...given({
      prefix: env.KAFKA_PREFIX,
      tls: env.KAFKA_TLS || ca !== undefined ? given({ ca, cert, key }) : undefined,
      sasl: mechanism === undefined ? undefined : { mechanism, username, password },
    }),
  };
};

const storeOf = (environment: Environment): ServerLocation => {
  const store = serverLocationFrom(environment);
  if (store === undefined) throw new AppError('config/invalid', 'CLICKHOUSE_URL: required, as http://localhost:8123');
  return store;
};

const requireAll = <T extends readonly (() => unknown)[]>(...parts: T) => {
  const errors: string[] = [];
  const values = parts.map((part) => {
    try {
      return part();
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'config/invalid') throw error;
      errors.push(error.message);
      return undefined;
    }
  });
  if (errors.length > 0) throw new AppError('config/invalid', errors.join('; '));
  return values as { -readonly [K in keyof T]: ReturnType<T[K]> };
};

/**
 * The configuration in the environment (docs/services.md).
 * @throws AppError `config/invalid` with every error at once, and no value of a secret
 */
export const configurationFrom = (
  environment: Environment,
  { port, usesStore }: { readonly port: number; readonly usesStore: boolean },
): ServiceConfiguration => {
  const parse = (): Parsed => {
    const { success, data, error } = schemaFor(port).safeParse(environment);
    if (success) return data;
    throw new AppError(
      'config/invalid',
      error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '),
    );
  };
  const [env, store] = requireAll(parse, () => (usesStore ? storeOf(environment) : undefined));
  return {
    kafka: kafkaOf(env),
    store,
    http: { host: env.PVTRAIL_HTTP_HOST, port: env.PVTRAIL_HTTP_PORT },
    workers: env.PVTRAIL_WORKERS,
    logLevel: env.PVTRAIL_LOG_LEVEL,
    shutdownMs: env.PVTRAIL_SHUTDOWN_MS,
  };
};
