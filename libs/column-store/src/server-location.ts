import { AppError } from '@pvtrail/primitives';
import { readConfiguredFile } from '@pvtrail/primitives/node';
import { z } from 'zod';
import type { TableEngines } from './table-engines.js';

/** A ClickHouse server and how to talk to it. */
export type ServerLocation = {
  /** http or https, host and port, without credentials. */
  readonly url: string;
  /** Made when missing; `default` when not given. */
  readonly database?: string;
  readonly username?: string;
  readonly password?: string;
  /** PEM: who may have signed the server's certificate, and what this side shows of itself. */
  readonly tls?:
    | { readonly ca_cert: Buffer }
    | { readonly ca_cert: Buffer; readonly cert: Buffer; readonly key: Buffer };
  /** MergeTree tables when not given. */
  readonly engines?: TableEngines;
  /** How many insert tokens a table remembers, 10,000 when not given. It takes effect when the tables are made. */
  readonly deduplicationWindow?: number;
  readonly requestTimeoutMs?: number;
  /** For statements that were not answered or that the server refused for now. */
  readonly retry?: { readonly attempts: number; readonly firstDelayMs: number; readonly maxDelayMs: number };
};

const withoutCredentials = (url: string): boolean => {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password } = new URL(url);
  return /^https?:$/.test(protocol) && username === '' && password === '';
};

const count = z.coerce.number().int().positive();
const file = z.string().min(1).optional();

const ENVIRONMENT = z
  .object({
    CLICKHOUSE_URL: z
      .url()
      .refine(withoutCredentials, 'http or https without user and password, which have variables of their own'),
    CLICKHOUSE_DATABASE: z.string().min(1).optional(),
    CLICKHOUSE_USER: z.string().min(1).optional(),
    CLICKHOUSE_PASSWORD: z.string().optional(),
    CLICKHOUSE_PASSWORD_FILE: file,
    CLICKHOUSE_TLS_CA: file,
    CLICKHOUSE_TLS_CERT: file,
    CLICKHOUSE_TLS_KEY: file,
    CLICKHOUSE_TABLES: z.enum(['merge-tree', 'replicated', 'distributed']).default('merge-tree'),
    CLICKHOUSE_CLUSTER: z.string().min(1).optional(),
    CLICKHOUSE_DEDUPLICATION_WINDOW: count.optional(),
    CLICKHOUSE_REQUEST_TIMEOUT_MS: count.optional(),
  })
  .superRefine((env, { addIssue }) => {
    const refuse = (name: string, message: string) => addIssue({ code: 'custom', path: [name], message });
    if (env.CLICKHOUSE_TABLES !== 'merge-tree' && env.CLICKHOUSE_CLUSTER === undefined) {
      refuse('CLICKHOUSE_CLUSTER', `needed by ${env.CLICKHOUSE_TABLES} tables`);
    }
    if (env.CLICKHOUSE_PASSWORD !== undefined && env.CLICKHOUSE_PASSWORD_FILE !== undefined) {
      refuse('CLICKHOUSE_PASSWORD_FILE', 'either this or CLICKHOUSE_PASSWORD');
    }
    if ((env.CLICKHOUSE_TLS_CERT === undefined) !== (env.CLICKHOUSE_TLS_KEY === undefined)) {
      refuse('CLICKHOUSE_TLS_KEY', 'a certificate and its key go together');
    }
    if (env.CLICKHOUSE_TLS_CERT !== undefined && env.CLICKHOUSE_TLS_CA === undefined) {
      refuse('CLICKHOUSE_TLS_CA', 'needed beside CLICKHOUSE_TLS_CERT');
    }
  });
type Environment = z.infer<typeof ENVIRONMENT>;

const tlsOf = ({ CLICKHOUSE_TLS_CA: ca, CLICKHOUSE_TLS_CERT: cert, CLICKHOUSE_TLS_KEY: key }: Environment) => {
  if (ca === undefined) return undefined;
  const ca_cert = readConfiguredFile('CLICKHOUSE_TLS_CA', ca);
  if (cert === undefined || key === undefined) return { ca_cert };
  return {
    ca_cert,
    cert: readConfiguredFile('CLICKHOUSE_TLS_CERT', cert),
    key: readConfiguredFile('CLICKHOUSE_TLS_KEY', key),
  };
};

const passwordOf = ({ CLICKHOUSE_PASSWORD: password, CLICKHOUSE_PASSWORD_FILE: path }: Environment) =>
  path === undefined ? password : readConfiguredFile('CLICKHOUSE_PASSWORD_FILE', path).toString('utf8').trimEnd();

const enginesOf = ({ CLICKHOUSE_TABLES: kind, CLICKHOUSE_CLUSTER: cluster = '' }: Environment): TableEngines =>
  kind === 'merge-tree' ? { kind } : { kind, cluster };

const given = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;

/**
 * The server that `CLICKHOUSE_URL` and the other variables of docs/store.md name; undefined without `CLICKHOUSE_URL`.
 * @throws AppError `config/invalid` with every error at once, and no value of a secret
 */
export const serverLocationFrom = (
  environment: Readonly<Record<string, string | undefined>>,
): ServerLocation | undefined => {
  if (environment.CLICKHOUSE_URL === undefined) return undefined;
  const { success, data, error } = ENVIRONMENT.safeParse(environment);
  if (!success) {
    const issues = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new AppError('config/invalid', issues.join('; '));
  }
  return {
    url: data.CLICKHOUSE_URL,
    engines: enginesOf(data),
    ...given({
      database: data.CLICKHOUSE_DATABASE,
      username: data.CLICKHOUSE_USER,
      password: passwordOf(data),
      tls: tlsOf(data),
      deduplicationWindow: data.CLICKHOUSE_DEDUPLICATION_WINDOW,
      requestTimeoutMs: data.CLICKHOUSE_REQUEST_TIMEOUT_MS,
    }),
  };
};
