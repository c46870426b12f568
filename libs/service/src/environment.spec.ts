import fs from 'node:fs';
import path from 'node:path';
import type { AppError } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { configurationFrom, VARIABLES } from './environment.js';

const ENVIRONMENT = { KAFKA_BROKERS: 'a:9092, b:9092', CLICKHOUSE_URL: 'http://store:8123' };
const SERVICE = { port: 8080, usesStore: true };

const failure = (environment: Record<string, string>, service = SERVICE): string => {
  try {
    configurationFrom(environment, service);
  } catch (error) {
    expect((error as AppError).code).toBe('config/invalid');
    return (error as AppError).message;
  }
  throw new Error('nothing was refused');
};

describe('configurationFrom', () => {
  it('needs brokers and a store, the rest has defaults', () => {
    const { kafka, http, store, logLevel, shutdownMs } = configurationFrom(ENVIRONMENT, SERVICE);
    expect(kafka).toEqual({
      brokers: ['a:9092', 'b:9092'],
      topics: {},
      topicsByName: { 'pvtrail.trace.v1': { retentionMs: 3 * 24 * 3_600_000, compression: 'none' } },
    });
    expect(store).toMatchObject({ url: 'http://store:8123' });
    expect({ http, logLevel, shutdownMs }).toEqual({
      http: { host: '127.0.0.1', port: 8080 },
      logLevel: 'info',
      shutdownMs: 20_000,
    });
  });

  it('needs no store for a service without one', () => {
    const { store } = configurationFrom({ KAFKA_BROKERS: 'a:9092' }, { port: 1, usesStore: false });
    expect(store).toBeUndefined();
  });

  it('reads secrets and certificates from files', () => {
    const folder = fs.mkdtempSync('/tmp/pvtrail-env-');
    const file = (name: string, text: string): string => {
      fs.writeFileSync(path.join(folder, name), text);
      return path.join(folder, name);
    };
    const { kafka } = configurationFrom(
      {
        ...ENVIRONMENT,
        KAFKA_TLS_CA: file('ca', 'CA'),
        KAFKA_SASL_MECHANISM: 'scram-sha-512',
        KAFKA_SASL_USERNAME: 'pvtrail',
        KAFKA_SASL_PASSWORD_FILE: file('password', 'secret\n'),
        KAFKA_PARTITIONS: '3',
      },
      SERVICE,
    );
    fs.rmSync(folder, { recursive: true });
    expect(kafka).toMatchObject({
      tls: { ca: 'CA' },
      sasl: { mechanism: 'scram-sha-512', username: 'pvtrail', password: 'secret' },
      topics: { partitions: 3 },
    });
  });

  it('names every error at once, of broker and store alike', () => {
    const message = failure({ PVTRAIL_HTTP_PORT: 'x', PVTRAIL_LOG_LEVEL: 'loud', KAFKA_TLS_CERT: '/nonexistent' });
    for (const name of ['KAFKA_BROKERS', 'PVTRAIL_HTTP_PORT', 'PVTRAIL_LOG_LEVEL', 'CLICKHOUSE_URL']) {
      expect(message).toContain(name);
    }
  });

  it.each([
    [{ KAFKA_TLS_CERT: '/x' }, 'KAFKA_TLS_KEY'],
    [{ KAFKA_SASL_MECHANISM: 'plain' }, 'KAFKA_SASL_USERNAME'],
    [{ KAFKA_SASL_PASSWORD: 'a', KAFKA_SASL_PASSWORD_FILE: '/x' }, 'KAFKA_SASL_PASSWORD_FILE'],
    [{ KAFKA_TLS_CA: '/nonexistent' }, 'KAFKA_TLS_CA: /nonexistent cannot be read'],
    [{ PVTRAIL_WORKERS: '0' }, 'PVTRAIL_WORKERS'],
  ])('%j is refused', (change, text) => {
    expect(failure({ ...ENVIRONMENT, ...change })).toContain(text);
  });

  it('has every variable documented', () => {
    const text = fs.readFileSync(path.join(import.meta.dirname, '../../../docs/services.md'), 'utf8');
    for (const name of VARIABLES) expect(text).toContain(`\`${name}\``);
  });
});
