import type http from 'node:http';
import { text } from '../sql-text.js';
import { ProtocolError } from './protocol-error.js';

/** What a request asks for beside its body. */
export type Request = {
  /** `?query=`; the body has the statement, or the rest of it, when it is empty. */
  readonly query: string;
  readonly queryId: string | undefined;
  /** For answers whose statement names no format. */
  readonly format: string;
  readonly compressAnswer: boolean;
  /** Statements to run before, on the same connection. */
  readonly preparation: string;
};

/** Handled here, or without a meaning for an embedded engine. */
const PROTOCOL = new Set([
  'query',
  'query_id',
  'database',
  'default_format',
  'user',
  'password',
  'wait_end_of_query',
  'buffer_size',
  'send_progress_in_http_headers',
  'http_headers_progress_interval_ms',
  'http_response_buffer_size',
  'enable_http_compression',
  'http_zlib_compression_level',
]);
const UNSUPPORTED = ['session_id', 'compress', 'decompress', 'role', 'quota_key'];
const NAME = /^[A-Za-z_]\w*$/;
const PARAMETER = 'param_';

const header = (headers: http.IncomingHttpHeaders, name: string): string | undefined => {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
};

const settingsOf = (parameters: URLSearchParams): string[] => {
  const settings: string[] = [];
  for (const [name, value] of parameters) {
    if (UNSUPPORTED.includes(name)) throw new ProtocolError('NOT_IMPLEMENTED', `'${name}' is not implemented`);
    if (PROTOCOL.has(name)) continue;
    // Also checked for parameters: their names become part of a SET.
    if (!NAME.test(name)) throw new ProtocolError('UNKNOWN_SETTING', `no name of a setting: ${JSON.stringify(name)}`);
    settings.push(`SET ${name} = ${text(value)}`);
  }
  // Parameters of a statement before settings: `readonly` among these forbids any other.
  return settings.toSorted(
    (a, b) => Number(b.startsWith(`SET ${PARAMETER}`)) - Number(a.startsWith(`SET ${PARAMETER}`)),
  );
};

/** @throws ProtocolError for what the server does not implement */
export const readRequest = ({ method, url = '/', headers }: http.IncomingMessage): Request => {
  const parameters = new URL(url, 'http://localhost').searchParams;
  const database = parameters.get('database') ?? header(headers, 'x-clickhouse-database');
  const accepted = header(headers, 'accept-encoding') ?? '';
  return {
    query: parameters.get('query') ?? '',
    queryId: parameters.get('query_id') ?? undefined,
    format: parameters.get('default_format') ?? header(headers, 'x-clickhouse-format') ?? 'TabSeparated',
    compressAnswer: parameters.get('enable_http_compression') === '1' && /\bgzip\b/.test(accepted),
    preparation: [
      ...(database === undefined ? [] : [`USE \`${database.replace(/[\\`]/g, '\\$&')}\``]),
      ...settingsOf(parameters),
      // As on a server, a GET changes nothing.
      ...(method === 'GET' ? ['SET readonly = 2'] : []),
    ].join('; '),
  };
};

/** Name and password: headers of ClickHouse, basic authentication, or parameters. */
export const credentialsOf = ({ url = '/', headers }: http.IncomingMessage): { name: string; password: string } => {
  const [scheme, encoded] = (header(headers, 'authorization') ?? '').split(' ');
  if (scheme?.toLowerCase() === 'basic') {
    const [name = '', ...password] = Buffer.from(encoded ?? '', 'base64')
      .toString('utf8')
      .split(':');
    return { name, password: password.join(':') };
  }
  const parameters = new URL(url, 'http://localhost').searchParams;
  return {
    name: header(headers, 'x-clickhouse-user') ?? parameters.get('user') ?? 'default',
    password: header(headers, 'x-clickhouse-key') ?? parameters.get('password') ?? '',
  };
};
