import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { AppError } from '@pvtrail/primitives';
import { z } from 'zod';
import type { CollectedSpan } from './collected-span.js';

export type { CollectedSpan } from './collected-span.js';

/** A small OTLP/HTTP collector on loopback: JSON alone, gzip or plain, everything kept in memory. */
export type TestCollector = {
  /** What OTEL_EXPORTER_OTLP_ENDPOINT must be; OTEL_EXPORTER_OTLP_PROTOCOL must be http/json. */
  readonly endpoint: string;
  readonly spans: readonly CollectedSpan[];
  /** Names of the instruments of which anything arrived, by service. */
  readonly instruments: ReadonlyMap<string, ReadonlySet<string>>;
  close(): Promise<void>;
};

export const startCollector = async (): Promise<TestCollector> => {
  const spans: CollectedSpan[] = [];
  const instruments = new Map<string, Set<string>>();
  const take: Record<string, (body: unknown) => void> = {
    '/v1/traces': (body) => spans.push(...spansOf(body)),
    '/v1/metrics': (body) => {
      for (const [service, name] of instrumentsOf(body)) {
        instruments.set(service, (instruments.get(service) ?? new Set()).add(name));
      }
    },
  };
  const server = http.createServer(async (request, response) => {
    const handle = request.method === 'POST' ? take[request.url ?? ''] : undefined;
    const sent = await buffer(request);
    const isJson = request.headers['content-type'] === 'application/json';
    if (handle === undefined || !isJson) return response.writeHead(handle === undefined ? 404 : 415).end();
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    try {
      handle(JSON.parse(body.toString()));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    } catch {
      response.writeHead(400).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    spans,
    instruments,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};

// OTLP 1.x in JSON: ids in hexadecimal digits, enumerations as numbers, 64-bit numbers as text.

const value = z.object({
  stringValue: z.string().optional(),
  intValue: z.union([z.string(), z.number()]).optional(),
  doubleValue: z.number().optional(),
  boolValue: z.boolean().optional(),
});
const attributes = z.array(z.object({ key: z.string(), value })).default([]);
const resource = z.object({ attributes });
const id = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));

const tracesRequest = z.object({
  resourceSpans: z.array(
    z.object({
      resource,
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: id(32),
              spanId: id(16),
              parentSpanId: z.union([id(16), z.literal('')]).optional(),
              name: z.string(),
              kind: z.number(),
              attributes,
              links: z.array(z.object({ traceId: id(32), spanId: id(16) })).default([]),
              status: z.object({ code: z.number().optional() }).default({}),
            }),
          ),
        }),
      ),
    }),
  ),
});

const metricsRequest = z.object({
  resourceMetrics: z.array(
    z.object({
      resource,
      scopeMetrics: z.array(z.object({ metrics: z.array(z.object({ name: z.string() })) })),
    }),
  ),
});

const KINDS = [undefined, 'internal', 'server', 'client', 'producer', 'consumer'] as const;
const STATUS_ERROR = 2;

const recordOf = (list: z.output<typeof attributes>): Record<string, unknown> =>
  Object.fromEntries(
    list.map(({ key, value: { stringValue, intValue, doubleValue, boolValue } }) => [
      key,
      stringValue ?? (intValue === undefined ? (doubleValue ?? boolValue) : Number(intValue)),
    ]),
  );

const serviceOf = (of: z.output<typeof resource>): string => String(recordOf(of.attributes)['service.name']);

const spansOf = (body: unknown): CollectedSpan[] =>
  tracesRequest.parse(body).resourceSpans.flatMap(({ resource: from, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ kind, parentSpanId, links, status, attributes: list, ...ids }) => {
        const named = KINDS[kind];
        if (named === undefined) throw new AppError('input/invalid', `span kind ${kind}`);
        return {
          ...ids,
          service: serviceOf(from),
          kind: named,
          parentSpanId: parentSpanId === '' ? undefined : parentSpanId,
          links: links.map(({ traceId, spanId }) => ({ traceId, spanId })),
          attributes: recordOf(list),
          failed: status.code === STATUS_ERROR,
        };
      }),
    ),
  );

const instrumentsOf = (body: unknown): [service: string, name: string][] =>
  metricsRequest
    .parse(body)
    .resourceMetrics.flatMap(({ resource: from, scopeMetrics }) =>
      scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }): [string, string] => [serviceOf(from), name])),
    );
