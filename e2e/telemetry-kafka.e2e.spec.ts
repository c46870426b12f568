import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { skippedWithoutBroker } from '@pvtrail/kafka-local';
import { type CollectedSpan, startCollector, type TestCollector, traceFaults } from '@pvtrail/telemetry/testing';
import { beforeAll, describe, expect, it } from 'vitest';

const PVTRAIL = path.join(import.meta.dirname, '../apps/cli/bin/pvtrail.js');
const EVENT_STREAM = 'text/event-stream';
const SERVICES = ['pvtrail-analytics', 'pvtrail-api', 'pvtrail-guest-runner', 'pvtrail-patcher'];
const FLEET = {
  guests: [
    { stage: 'nopv', workload: 'nullsyscall' },
    { stage: 'v2.6.30', workload: 'nullsyscall', iterations: 100 },
    { stage: 'v2.6.29', workload: 'fork', maxInstructions: 1000 },
  ],
};

const skipped = skippedWithoutBroker();

/** Starts the whole system with telemetry to the collector, runs the fleet, and stops the system. */
const runFleet = async (folder: string, { endpoint }: TestCollector): Promise<void> => {
  const env = {
    ...process.env,
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_METRIC_EXPORT_INTERVAL: '1000',
  };
  const up = spawn(process.execPath, [PVTRAIL, '--data', folder, 'up', '--port', '0', '--workers', '2', '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(up, 'close');
  try {
    const { api } = await firstDocument(up.stdout);
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${api}/v1/runs`, { method: 'POST', headers, body: JSON.stringify({ fleet: FLEET }) });
    const events = await fetch(`${api}${answer.headers.get('location')}/events`, { headers: { accept: EVENT_STREAM } });
    await events.text(); // ends when the run does
  } finally {
    up.kill('SIGTERM');
    await ended;
  }
};

/** The JSON document that a process prints before it goes on. */
const firstDocument = async (stdout: NodeJS.ReadableStream): Promise<{ api: string }> => {
  const lines: string[] = [];
  for await (const line of readline.createInterface({ input: stdout })) {
    lines.push(line);
    if (line === '}') return JSON.parse(lines.join('\n'));
  }
  throw new Error(`ended after: ${lines.join('\n')}`);
};

describe.skipIf(skipped !== '')(`a run over Kafka with telemetry ${skipped}`, () => {
  let spans: readonly CollectedSpan[];
  let instruments: TestCollector['instruments'];
  let trace: readonly CollectedSpan[];

  beforeAll(async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-telemetry-kafka-'));
    const collector = await startCollector();
    await runFleet(folder, collector);
    await collector.close();
    fs.rmSync(folder, { recursive: true });
    ({ spans, instruments } = collector);
    const traceId = spans.find(({ name }) => name === 'run')?.traceId;
    trace = spans.filter((span) => span.traceId === traceId);
  }, 480_000);

  const named = (name: string, service: string): CollectedSpan[] =>
    trace.filter((span) => span.name === name && span.service === service);
  const parentOf = (span: CollectedSpan): CollectedSpan | undefined =>
    trace.find(({ spanId }) => spanId === span.parentSpanId);
  const linkTo = (span: CollectedSpan | undefined) => ({ traceId: span?.traceId, spanId: span?.spanId });

  it('is one connected tree across four processes', () => {
    const [run] = named('run', 'pvtrail-api');
    expect(traceFaults(spans, run?.traceId ?? '')).toEqual([]);
    expect(run === undefined ? undefined : parentOf(run)).toMatchObject({ name: 'POST /v1/runs', kind: 'server' });
    expect([...new Set(trace.map(({ service }) => service))].sort()).toEqual(SERVICES);
    expect(named('guest', 'pvtrail-guest-runner')).toHaveLength(FLEET.guests.length);
    expect(named('decide', 'pvtrail-patcher').length).toBeGreaterThan(0);
    expect(named('send pvtrail.runs.v1', 'pvtrail-api').at(-1)?.attributes).toMatchObject({
      'cloudevents.event_type': 'RunFailed',
      'messaging.system': 'kafka',
    });
  });

  it('goes on in another process at every message', () => {
    const pairs = trace
      .filter(({ kind }) => kind === 'consumer')
      .map((consumer) => [parentOf(consumer)?.kind, parentOf(consumer)?.service, consumer.service].join(' '));
    expect(new Set(pairs)).toEqual(
      new Set([
        'producer pvtrail-api pvtrail-api', // its own events, by which it knows how far a run is
        'producer pvtrail-api pvtrail-guest-runner',
        'producer pvtrail-api pvtrail-patcher',
        'producer pvtrail-guest-runner pvtrail-patcher',
        'producer pvtrail-guest-runner pvtrail-analytics',
        'producer pvtrail-analytics pvtrail-api',
        'producer pvtrail-analytics pvtrail-guest-runner',
      ]),
    );
  });

  it('links the producer and the consumer of every chunk', () => {
    const handled = named('process pvtrail.trace.v1', 'pvtrail-analytics');
    expect(handled.length).toBeGreaterThan(3);
    for (const consumer of handled) {
      const producer = parentOf(consumer);
      expect([producer?.service, parentOf(producer as CollectedSpan)?.name]).toEqual([
        'pvtrail-guest-runner',
        'execute',
      ]);
      expect(consumer.links).toContainEqual(linkTo(producer));
    }
    const inserted = named('insert', 'pvtrail-analytics').flatMap(({ links }) => links);
    expect(new Set(inserted.map(({ spanId }) => spanId))).toEqual(new Set(handled.map(({ spanId }) => spanId)));
    for (const guest of named('guest', 'pvtrail-guest-runner')) {
      const back = trace.filter(({ links }) => links.some(({ spanId }) => spanId === guest.spanId));
      expect(back.map((span) => [parentOf(span)?.service, span.service])).toEqual([
        ['pvtrail-analytics', 'pvtrail-guest-runner'],
      ]);
    }
  });

  it('is measured where the work is done', () => {
    expect(instruments.get('pvtrail-guest-runner')).toContain('pvtrail.chunks.produced');
    expect(instruments.get('pvtrail-analytics')).toContain('pvtrail.chunk.lag');
    for (const service of SERVICES) expect(instruments.get(service)).toContain('messaging.process.duration');
  });
});
