import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { AppError } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { serverLocationFrom } from './server-location.js';

const refusal = (environment: Record<string, string>): AppError => {
  try {
    serverLocationFrom(environment);
  } catch (error) {
    if (error instanceof AppError) return error;
  }
  throw new Error('not refused');
};

describe('the server of an environment', () => {
  it('without CLICKHOUSE_URL there is none', () => {
    expect(serverLocationFrom({ CLICKHOUSE_USER: 'x' })).toBeUndefined();
  });

  it('a URL is enough', () => {
    expect(serverLocationFrom({ CLICKHOUSE_URL: 'http://clickhouse:8123' })).toEqual({
      url: 'http://clickhouse:8123',
      engines: { kind: 'merge-tree' },
    });
  });

  it('secrets and certificates may come from files', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-location-'));
    const file = (name: string) => path.join(folder, name);
    for (const name of ['ca', 'cert', 'key', 'password']) fs.writeFileSync(file(name), `${name}\n`);
    const location = serverLocationFrom({
      CLICKHOUSE_URL: 'https://clickhouse:8443',
      CLICKHOUSE_DATABASE: 'pvtrail',
      CLICKHOUSE_USER: 'writer',
      CLICKHOUSE_PASSWORD_FILE: file('password'),
      CLICKHOUSE_TLS_CA: file('ca'),
      CLICKHOUSE_TLS_CERT: file('cert'),
      CLICKHOUSE_TLS_KEY: file('key'),
      CLICKHOUSE_TABLES: 'replicated',
      CLICKHOUSE_CLUSTER: 'main',
      CLICKHOUSE_DEDUPLICATION_WINDOW: '500',
      CLICKHOUSE_REQUEST_TIMEOUT_MS: '1000',
    });
    fs.rmSync(folder, { recursive: true });
    expect(location).toEqual({
      url: 'https://clickhouse:8443',
      database: 'pvtrail',
      username: 'writer',
      password: 'password',
      tls: { ca_cert: Buffer.from('ca\n'), cert: Buffer.from('cert\n'), key: Buffer.from('key\n') },
      engines: { kind: 'replicated', cluster: 'main' },
      deduplicationWindow: 500,
      requestTimeoutMs: 1000,
    });
  });

  it('all errors are told at once, by the names of the variables', () => {
    const { code, message } = refusal({
      CLICKHOUSE_URL: 'http://clickhouse:8123',
      CLICKHOUSE_TABLES: 'distributed',
      CLICKHOUSE_PASSWORD: 'a secret',
      CLICKHOUSE_PASSWORD_FILE: '/a/file',
      CLICKHOUSE_TLS_CERT: '/a/certificate',
    });
    expect(code).toBe('config/invalid');
    for (const name of ['CLUSTER', 'PASSWORD_FILE', 'TLS_KEY', 'TLS_CA'])
      expect(message).toContain(`CLICKHOUSE_${name}:`);
    expect(message).not.toContain('a secret');
  });

  it.each(['http://user:secret@clickhouse:8123', 'ftp://clickhouse', 'clickhouse:8123', ''])(
    '%j is no URL of a server',
    (url) => {
      const { code, message } = refusal({ CLICKHOUSE_URL: url });
      expect(code).toBe('config/invalid');
      expect(message).not.toContain('secret');
    },
  );

  it('a file that cannot be read is named', () => {
    const { code, message } = refusal({ CLICKHOUSE_URL: 'https://c:8443', CLICKHOUSE_TLS_CA: '/nowhere/ca.pem' });
    expect([code, message]).toEqual(['config/invalid', 'CLICKHOUSE_TLS_CA: /nowhere/ca.pem cannot be read']);
  });
});
