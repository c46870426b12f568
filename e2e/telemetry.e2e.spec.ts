import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type CollectedSpan, startCollector, traceFaults } from '@pvtrail/telemetry/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const OBSERVE_FLEET = path.join(import.meta.dirname, 'children/observe-fleet.mjs');
const PVTRAIL = path.join(import.meta.dirname, '../apps/cli/bin/pvtrail.js');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-telemetry-'));

afterAll(() => fs.rmSync(folder, { recursive: true }));

const FLEET = {
  guests: [
    { stage: 'nopv', workload: 'nullsyscall' },
    { stage: 'v2.6.30', workload: 'nullsyscall', iterations: 100 },
    { stage: 'v2.6.29', workload: 'fork', maxInstructions: 1000 },
  ],
};

type Observed = {
  readonly guests: readonly { readonly state: string }[];
  readonly events: readonly [id: string, value: string][];
  readonly spans: readonly CollectedSpan[];
  readonly measured: Readonly<Record<string, number>>;
};

/** Runs the fleet in a fresh data folder. */
const observe = (name: string, ...traced: 'traced'[]): Observed => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [OBSERVE_FLEET, path.join(folder, name), JSON.stringify(FLEET), ...traced],
    { encoding: 'utf8', timeout: 110_000, maxBuffer: 64 << 20 },
  );
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as Observed;
};

describe('a run with telemetry', () => {
  let observed: Observed;
  beforeAll(() => {
    observed = observe('traced', 'traced');
  });
  const named = (name: string, where: Record<string, unknown> = {}): CollectedSpan[] =>
    observed.spans.filter(
      (span) => span.name === name && Object.entries(where).every(([key, value]) => span.attributes[key] === value),
    );
  const only = (name: string, where: Record<string, unknown> = {}): CollectedSpan => {
    const found = named(name, where);
    expect(found.length, name).toBe(1);
    return found[0] as CollectedSpan;
  };
  const ancestors = (span: CollectedSpan): string[] => {
    const parent = observed.spans.find(({ spanId }) => spanId === span.parentSpanId);
    return parent === undefined ? [] : [parent.name, ...ancestors(parent)];
  };

  it('leaves the guests, the events and their ids as they are without', () => {
    const plain = observe('plain');
    expect(plain.spans).toEqual([]);
    expect([plain.guests, plain.events]).toEqual([observed.guests, observed.events]);
    expect(plain.guests.map(({ state }) => state).sort()).toEqual(['failed', 'finished', 'finished']);
  });

  it('is one connected tree, from the request to the last insert', () => {
    const root = only('run');
    expect(root.parentSpanId).toBeUndefined();
    expect(traceFaults(observed.spans, root.traceId)).toEqual([]);
    const chain = (name: string): string => [name, ...ancestors(named(name)[0] as CollectedSpan)].join(' < ');
    const requested = 'process pvtrail.guests.v1 < create pvtrail.guests.v1 < run';
    expect(chain('boot')).toBe(`boot < guest < ${requested}`);
    expect(chain('execute')).toBe(`execute < guest < ${requested}`);
    for (const insert of named('insert')) {
      expect(ancestors(insert).join(' < ')).toMatch(
        /^process pvtrail.trace.v1 < (send|create) pvtrail.trace.v1 < execute < guest < /,
      );
    }
    const decisions = named('decide').map((span) => ancestors(span).join(' < '));
    expect(new Set(decisions)).toEqual(
      new Set([requested, `process pvtrail.guests.v1 < send pvtrail.guests.v1 < patch < guest < ${requested}`]),
    );
  });

  it('has every chunk once as sent, analysed and stored, each linked with the other', async () => {
    const long = {
      'pvtrail.guest.id': only('guest', { 'pvtrail.guest.stage': 'v2.6.30' }).attributes['pvtrail.guest.id'],
    };
    const analysed = named('analyse', long);
    expect(analysed.length).toBeGreaterThan(2);
    const handled = analysed.map(({ parentSpanId }) => observed.spans.find(({ spanId }) => spanId === parentSpanId));
    for (const process of handled) {
      const producer = observed.spans.find(({ spanId }) => spanId === process?.parentSpanId);
      expect(producer).toMatchObject({ kind: 'producer' });
      expect(process?.links).toContainEqual({ traceId: producer?.traceId, spanId: producer?.spanId });
    }
    expect(only('insert', long).links).toEqual(
      handled.map((process) => ({ traceId: process?.traceId, spanId: process?.spanId })),
    );
  });

  it('links every guest back from its analysis', () => {
    for (const guest of named('guest')) {
      const back = observed.spans.filter(({ links }) => links.some(({ spanId }) => spanId === guest.spanId));
      expect(back.map((span) => span.attributes['cloudevents.event_type'])).toEqual(['GuestAnalysed']);
    }
  });

  it('has batches in traces of their own, linked to the run', () => {
    const { traceId } = only('run');
    const others = observed.spans.filter((span) => span.traceId !== traceId);
    expect(others.length).toBeGreaterThan(0);
    for (const batch of others) {
      expect([batch.kind, batch.parentSpanId]).toEqual(['consumer', undefined]);
      expect(batch.links.map((link) => link.traceId)).toContain(traceId);
    }
  });

  it('says how the guests and the run ended', () => {
    const states = (name: string) => named(name).map(({ attributes }) => attributes['pvtrail.state']);
    expect(states('guest').sort()).toEqual(['failed', 'finished', 'finished']);
    expect(named('send pvtrail.runs.v1').map(({ attributes }) => attributes['cloudevents.event_type'])).toEqual([
      'RunRequested',
      'RunFailed',
    ]);
  });

  it('measures chunks, instructions, inserts and lag', () => {
    const chunks = named('analyse').length;
    const instructions = named('analyse').reduce(
      (sum, span) => sum + Number(span.attributes['pvtrail.instructions']),
      0,
    );
    expect(observed.measured).toEqual({
      'chunks.produced': chunks,
      'chunks.analysed': chunks,
      'chunk.lag': chunks,
      'instructions.produced': instructions,
      'instructions.analysed': instructions,
      'units.inserted': named('insert').length,
    });
    expect(instructions).toBeGreaterThan(2_000_000);
  });
});

describe('the command line with a collector', () => {
  const run = async (name: string, otel: Record<string, string>) => {
    const args = [
      '--data',
      path.join(folder, name),
      'run',
      '--stage',
      'v2.6.30',
      '--workload',
      'nullsyscall',
      '--json',
    ];
    const child = spawn(process.execPath, [PVTRAIL, ...args], {
      env: { ...process.env, ...otel },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    expect(status).toBe(0);
    return stderr;
  };

  it('sends its run, whole, before it ends', async () => {
    const collector = await startCollector();
    const stderr = await run('collected', {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    });
    await collector.close();
    expect(stderr).toBe('');
    const traceId = collector.spans.find(({ name }) => name === 'run')?.traceId ?? '';
    expect(traceFaults(collector.spans, traceId)).toEqual([]);
    expect(collector.spans.filter((span) => span.traceId === traceId).map(({ name }) => name)).toContain('insert');
    expect(new Set(collector.spans.map(({ service }) => service))).toEqual(new Set(['pvtrail']));
    expect(collector.instruments.get('pvtrail')).toContain('pvtrail.chunk.lag');
  }, 120_000);

  it('says when it does not answer, and runs all the same', async () => {
    const stderr = await run('alone', {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      OTEL_EXPORTER_OTLP_TIMEOUT: '300',
    });
    expect(stderr).toMatch(/^pvtrail: telemetry: .*ECONNREFUSED/m);
  }, 120_000);
});
