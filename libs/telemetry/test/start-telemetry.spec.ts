import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { startTelemetry } from '../src/index.js';
import { startCollector } from '../src/testing/index.js';

const CHILD = path.join(import.meta.dirname, 'children/loaded-packages.mjs');
const REQUEST_FLEET = path.join(import.meta.dirname, 'children/request-fleet.mjs');

/** A process that starts telemetry, makes the span `run` with a message in it, and stops. */
const child = async (env: Record<string, string>, ...args: string[]) => {
  const spawned = spawn(process.execPath, [CHILD, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr] = await Promise.all([text(spawned.stdout), text(spawned.stderr), once(spawned, 'close')]);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as { loaded: string[]; headers: Record<string, string>; stopMs: number };
};

describe('startTelemetry', () => {
  it.each([
    ['without an endpoint', {}],
    ['when the SDK is disabled', { OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }],
  ])('%s loads no SDK and leaves messages as they are', async (_when, env) => {
    expect(await child(env)).toMatchObject({ loaded: ['@opentelemetry/api'], headers: {} });
  });

  it.each(['gzip', 'none'])('sends traces and metrics over OTLP/HTTP, compression %s', async (compression) => {
    const collector = await startCollector();
    const { loaded, headers } = await child({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_COMPRESSION: compression,
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    });
    await collector.close();
    expect(loaded).toContain('@opentelemetry/sdk-trace');
    const send = collector.spans.find(({ name }) => name === 'send topic');
    const run = collector.spans.find(({ name }) => name === 'run');
    expect(send).toMatchObject({
      service: 'child',
      kind: 'producer',
      traceId: run?.traceId,
      parentSpanId: run?.spanId,
    });
    expect(headers.traceparent).toBe(`00-${send?.traceId}-${send?.spanId}-01`);
    expect([...(collector.instruments.get('child') ?? [])].sort()).toEqual([
      'messaging.client.operation.duration',
      'messaging.client.sent.messages',
      'pvtrail.step.duration',
    ]);
  });

  it('sends protobuf to the standard paths unless told otherwise, with the headers given', async () => {
    const requests = new Map<string, { type: string | undefined; token: string | undefined; body: string }>();
    const server = http.createServer(async ({ url = '', headers }, response) => {
      const body = (await buffer(response.req)).toString('latin1');
      requests.set(url, { type: headers['content-type'], token: headers['x-token'] as string | undefined, body });
      response.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await child({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-token=secret',
    });
    server.close();
    expect([...requests.keys()].sort()).toEqual(['/v1/metrics', '/v1/traces']);
    for (const { type, token } of requests.values())
      expect([type, token]).toEqual(['application/x-protobuf', 'secret']);
    expect(requests.get('/v1/traces')?.body).toMatch(/service\.name.*child.*send topic/s);
    expect(requests.get('/v1/metrics')?.body).toContain('pvtrail.step.duration');
  });

  it('OTEL_SERVICE_NAME names the service, a sampler of its choice drops traces', async () => {
    const collector = await startCollector();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };
    await child({ ...env, OTEL_SERVICE_NAME: 'named' });
    const { headers } = await child({ ...env, OTEL_TRACES_SAMPLER: 'always_off', OTEL_METRICS_EXPORTER: 'none' });
    await collector.close();
    expect(new Set(collector.spans.map(({ service }) => service))).toEqual(new Set(['named']));
    expect(headers.traceparent).toMatch(/-00$/);
  });

  it('loses no span and no link of a large fleet’s requests', async () => {
    const collector = await startCollector();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };
    const fleet = spawn(process.execPath, [REQUEST_FLEET], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const [warnings] = await Promise.all([text(fleet.stdout), once(fleet, 'close')]);
    await collector.close();
    expect(warnings).toBe('');
    expect(collector.spans.filter(({ name }) => name === 'create topic')).toHaveLength(40 * 256);
    const sends = collector.spans.filter(({ name }) => name === 'send topic');
    expect(sends.map(({ links }) => links.length)).toEqual(Array(40).fill(256));
  });

  it('stops within its deadline when the collector does not answer', async () => {
    const silent = http.createServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const { stopMs } = await child({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` }, '300');
    expect(stopMs).toBeGreaterThan(250);
    expect(stopMs).toBeLessThan(3000);
    silent.closeAllConnections();
    silent.close();
  });

  it('names every wrong variable at once', async () => {
    const env = {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_TRACES_SAMPLER: 'sometimes',
      OTEL_BSP_MAX_QUEUE_SIZE: '-1',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'collector',
    };
    await expect(startTelemetry('service', env)).rejects.toMatchObject({ code: 'config/invalid' });
    const message = await startTelemetry('service', env).catch((error: Error) => error.message);
    for (const name of Object.keys(env)) expect(message).toContain(name);
  });

  it('an empty variable is an unset one', async () => {
    await (await startTelemetry('service', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_TRACES_SAMPLER: '' })).stop();
  });
});
