import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { type ColumnStore, openColumnStore } from '@pvtrail/column-store';
import { TOPICS } from '@pvtrail/contracts';
import { type EventLog, openSqliteLog, tracedLog } from '@pvtrail/event-log';
import { type CollectedSpan, type Recording, startRecording, traceFaults } from '@pvtrail/telemetry/testing';
import request from 'supertest';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { configureHttp, HttpModule } from '../src/http/http.module.js';

const FLEET = { guests: [{ stage: 'v2.6.30', workload: 'fork', replicas: 2 }] };
const [CALLER_TRACE, CALLER_SPAN] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];

let folder: string;
let log: EventLog;
let store: ColumnStore;
let recording: Recording;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-api-tracing-'));
  log = openSqliteLog({ file: path.join(folder, 'events.sqlite') });
  store = await openColumnStore({ path: path.join(folder, 'store') });
});

beforeEach(() => {
  recording = startRecording();
  return () => recording.stop();
});

afterAll(async () => {
  await log.close();
  await store.close();
  fs.rmSync(folder, { recursive: true });
});

const start = async (events: EventLog): Promise<NestExpressApplication> => {
  const module = await Test.createTestingModule({
    imports: [HttpModule.register({ log: tracedLog(events, 'sqlite'), store, group: 'api-tracing', replay: true })],
  }).compile();
  const app = module.createNestApplication<NestExpressApplication>({ logger: false });
  configureHttp(app);
  await app.init();
  return app;
};

const named = (name: string): CollectedSpan[] => recording.spans.filter((span) => span.name === name);

describe('the trace of a run', () => {
  it('begins with the request to the API, below the span of whoever asked', async () => {
    const app = await start(log);
    await request(app.getHttpServer())
      .post('/v1/runs')
      .set('traceparent', `00-${CALLER_TRACE}-${CALLER_SPAN}-01`)
      .send({ fleet: { ...FLEET, label: 'asked' } })
      .expect(202);
    await app.close();
    const [server] = named('POST /v1/runs');
    expect(server).toMatchObject({ kind: 'server', traceId: CALLER_TRACE, parentSpanId: CALLER_SPAN, failed: false });
    expect(server?.attributes).toMatchObject({ 'http.route': '/v1/runs', 'http.response.status_code': 202 });
    expect(named('run').map(({ parentSpanId }) => parentSpanId)).toEqual([server?.spanId]);
    expect(await recording.measured('http.server.request.duration')).toBe(1);
  });

  it('of a caller without one is its own', async () => {
    const app = await start(log);
    await request(app.getHttpServer())
      .get(`/v1/runs/${'0'.repeat(32)}`)
      .expect(404);
    await app.close();
    expect(named('GET /v1/runs/:id').map(({ parentSpanId, failed }) => [parentSpanId, failed])).toEqual([
      [undefined, false],
    ]);
  });

  it('goes on when a process that died before it had requested the guests is followed by another', async () => {
    const withoutGuests: EventLog = {
      append: (...args) => log.append(...args),
      read: (...args) => log.read(...args),
      consume: (...args) => log.consume(...args),
      truncate: (...args) => log.truncate(...args),
      close: async () => {},
      publish: async (topic, messages) => {
        if (topic === TOPICS.guests) throw new Error('died');
        await log.publish(topic, messages);
      },
    };
    const first = await start(withoutGuests);
    await request(first.getHttpServer())
      .post('/v1/runs')
      .send({ fleet: { ...FLEET, label: 'died' } })
      .expect(500);
    await first.close();
    const traceId = named('POST /v1/runs')[0]?.traceId ?? '';
    const second = await start(log);
    await vi.waitFor(() => expect(named('send pvtrail.guests.v1').filter(({ failed }) => !failed)).toHaveLength(1));
    await second.close();
    expect(named('create pvtrail.guests.v1').map((span) => span.traceId)).toEqual(Array(4).fill(traceId));
    expect(named('run').map(({ failed }) => failed)).toEqual([true]);
    expect(traceFaults(recording.spans, traceId)).toEqual([]);
  });
});
