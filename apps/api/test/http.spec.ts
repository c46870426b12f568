import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { type ColumnStore, openColumnStore } from '@pvtrail/column-store';
import {
  type AnyEvent,
  deadTopicOf,
  makeEvent,
  parseFleetSpec,
  type RunId,
  TOPICS,
  toMessage,
} from '@pvtrail/contracts';
import { type EventLog, openSqliteLog } from '@pvtrail/event-log';
import { digestOf } from '@pvtrail/primitives';
import request from 'supertest';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { tokenFrom } from '../src/http/access.js';
import { configureHttp, HttpModule, type HttpOptions } from '../src/http/http.module.js';
import { openApiDocument } from '../src/http/openapi.js';
import { OPERATIONS } from '../src/http/operations.js';
import { RunCoordinator } from '../src/run-coordinator.js';

const FLEET = { guests: [{ stage: 'v2.6.30', workload: 'fork', replicas: 2 }] };
const UNKNOWN = '0'.repeat(32);
const PROBLEM = /application\/problem\+json/;
const TOKEN = 'a-token-of-some-length';

let folder: string;
let log: EventLog;
let store: ColumnStore;
const apps: NestExpressApplication[] = [];

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-api-'));
  log = openSqliteLog({ file: path.join(folder, 'events.sqlite') });
  store = await openColumnStore({ path: path.join(folder, 'store') });
});

afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

afterAll(async () => {
  await log.close();
  await store.close();
  fs.rmSync(folder, { recursive: true });
});

const start = async (options: Partial<HttpOptions> = {}) => {
  const module = await Test.createTestingModule({
    imports: [HttpModule.register({ log, store, replay: true, ...options })],
  }).compile();
  const app = module.createNestApplication<NestExpressApplication>({ logger: false });
  configureHttp(app);
  await app.listen(0, '127.0.0.1');
  apps.push(app);
  return { api: request(app.getHttpServer()), coordinator: app.get(RunCoordinator), url: await app.getUrl() };
};

const planOf = (coordinator: RunCoordinator, label: string) => coordinator.plan(parseFleetSpec({ ...FLEET, label }));

/** Says of a guest that it has ended and is stored, as the analytics service does. */
const endGuest = async (coordinator: RunCoordinator, label: string, index: number): Promise<void> => {
  const { runId, guests } = planOf(coordinator, label);
  const guest = guests[index];
  if (guest === undefined) throw new RangeError(`the fleet has no guest ${index}`);
  const { guestId, spec, image } = guest;
  const result = { instructions: 1000, chunks: 1, bytes: 40, rawBytes: 4000, digest: digestOf(guestId) };
  await store.insertGuest({ runId, guestId, index, spec, image, state: 'finished', ...result });
  const event = makeEvent('GuestAnalysed', { guestId, state: 'finished' }, { runId, time: new Date() }) as AnyEvent;
  await log.publish(TOPICS.guests, [toMessage(event)]);
};

const until = async <T>(look: () => Promise<T | undefined>): Promise<T> => {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await delay(20);
  }
};

const typesOf = async (keys: readonly string[]): Promise<string[]> => {
  const found: string[] = [];
  for (const key of keys) {
    for await (const { headers } of log.read(TOPICS.guests, { key })) found.push(headers.ce_type ?? '');
  }
  return found;
};

describe('runs', () => {
  it('are accepted, listed, followed and completed', async () => {
    const { api, coordinator } = await start();
    const submitted = await api
      .post('/v1/runs')
      .send({ fleet: { ...FLEET, label: 'all' } })
      .expect(202);
    expect(submitted.body).toMatchObject({
      state: 'running',
      guests: 2,
      done: 0,
      failed: 0,
      resumed: 0,
      endedAt: null,
    });
    const at = submitted.headers.location ?? '';
    expect(at).toBe(`/v1/runs/${submitted.body.runId}`);
    await endGuest(coordinator, 'all', 0);
    await until(async () => ((await api.get(at)).body.done === 1 ? true : undefined));
    await endGuest(coordinator, 'all', 1);
    const { body } = await until(async () => {
      const answer = await api.get(at);
      return answer.body.state === 'completed' ? answer : undefined;
    });
    expect(body).toMatchObject({ done: 2, failed: 0, endedAt: expect.any(String) });
    const list = await api.get('/v1/runs?limit=1').expect(200);
    expect(list.body).toMatchObject({ runs: [{ runId: body.runId }], total: expect.any(Number) });
    const guests = await api.get(`${at}/guests`).expect(200);
    expect(guests.body).toMatchObject({ total: 2, guests: [{ workload: 'fork', seed: 1 }, { seed: 2 }] });
  });

  it('are known to a process that is started later, and gone on with', async () => {
    const first = await start();
    const { body } = await first.api.post('/v1/runs').send({ fleet: { ...FLEET, label: 'later' } });
    await endGuest(first.coordinator, 'later', 0);
    await apps.pop()?.close();
    const second = await start();
    await endGuest(second.coordinator, 'later', 1);
    const status = await until(async () => {
      const answer = await second.api.get(`/v1/runs/${body.runId}`);
      return answer.body.state === 'completed' ? answer.body : undefined;
    });
    expect(status).toMatchObject({ done: 2, label: 'later' });
  });

  it('of a process that died before it had requested the guests are completed by the next one', async () => {
    const { coordinator } = await start();
    const { runId, fleet, guests } = planOf(coordinator, 'died');
    await apps.pop()?.close();
    const ids = guests.map(({ guestId }) => guestId);
    const event = makeEvent('RunRequested', { runId, fleet, guests: ids }, { runId, time: new Date() }) as AnyEvent;
    await log.publish(TOPICS.runs, [toMessage(event)]);
    await start();
    const requested = await until(async () => {
      const types = await typesOf(ids);
      return types.length === 2 ? types : undefined;
    });
    expect(requested).toEqual(['GuestRequested', 'GuestRequested']);
  });

  it('are cancelled once', async () => {
    const { api } = await start();
    const { body } = await api.post('/v1/runs').send({ fleet: { ...FLEET, label: 'cancelled' } });
    const cancelled = await api.delete(`/v1/runs/${body.runId}`).expect(202);
    expect(cancelled.body.state).toBe('cancelled');
    const again = await api.delete(`/v1/runs/${body.runId}`).expect(409).expect('content-type', PROBLEM);
    expect(again.body).toMatchObject({ status: 409, code: 'run/ended', type: 'urn:pvtrail:error:run/ended' });
  });
});

describe('events', () => {
  it('are listed, and streamed until the run is over', async () => {
    const { api, coordinator, url } = await start();
    const { body } = await api.post('/v1/runs').send({ fleet: { ...FLEET, label: 'streamed' } });
    const at = `/v1/runs/${body.runId as RunId}/events`;
    const listed = await api.get(at).expect(200);
    const types = listed.body.events.map(({ type }: AnyEvent) => type);
    expect(types.sort()).toEqual(['GuestRequested', 'GuestRequested', 'RunRequested']);
    const response = await fetch(`${url}${at}`, { headers: { accept: 'text/event-stream' } });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const text = response.text();
    await endGuest(coordinator, 'streamed', 0);
    await endGuest(coordinator, 'streamed', 1);
    const blocks = (await text).split('\n\n').filter((block) => block.startsWith('id:'));
    const streamed = blocks.map((block) => /^event: (.*)$/m.exec(block)?.[1]);
    expect(streamed.filter((type) => type === 'GuestAnalysed')).toHaveLength(2);
    expect(streamed).toContain('RunCompleted');
    expect(new Set(blocks).size).toBe(blocks.length);
    const last = /^id: (.*)$/m.exec(blocks.at(-1) ?? '')?.[1] ?? '';
    const resumed = await fetch(`${url}${at}`, { headers: { accept: 'text/event-stream', 'last-event-id': last } });
    expect(await resumed.text()).toContain('RunCompleted');
    const hoursLater = `${new Date(Date.now() + 3_600_000).toISOString()}_x`;
    const nothing = await fetch(`${url}${at}`, {
      headers: { accept: 'text/event-stream', 'last-event-id': hoursLater },
    });
    expect(await nothing.text()).not.toContain('RunCompleted');
  });
});

describe('an audit', () => {
  it('is not clean while a guest has neither finished nor failed', async () => {
    const { api } = await start();
    const { body } = await api.post('/v1/runs').send({ fleet: { ...FLEET, label: 'lost' } });
    const audit = await api.get(`/v1/runs/${body.runId}/audit`).expect(200);
    expect(audit.body).toMatchObject({ clean: false, openGuests: 2, failedGuests: 0, differences: [] });
  });
});

describe('dead letters', () => {
  it('are listed, and published again once', async () => {
    const { api } = await start();
    const headers = { ce_type: 'GuestRequested', 'dead-code': 'event/malformed', 'dead-message': 'no event' };
    await log.publish(deadTopicOf(TOPICS.patches), [{ key: '1'.repeat(32), value: new Uint8Array([1]), headers }]);
    const { body } = await api.get('/v1/dead-letters').expect(200);
    expect(body).toMatchObject({ total: 1, letters: [{ code: 'event/malformed', redriven: false }] });
    const [{ topic, partition, offset }] = body.letters;
    await api.post('/v1/dead-letters/redrive').send({ topic, partition, offset }).expect(202);
    const again = await api.get('/v1/dead-letters').expect(200);
    expect(again.body.letters).toMatchObject([{ redriven: true }]);
    const missing = await api.post('/v1/dead-letters/redrive').send({ topic, partition, offset: 999_999 }).expect(404);
    expect(missing.body.code).toBe('input/not-found');
  });
});

describe('errors', () => {
  it.each([
    ['get', `/v1/runs/${UNKNOWN}`, 404, 'run/unknown'],
    ['get', '/v1/runs/nonsense', 400, 'input/invalid'],
    ['delete', `/v1/runs/${UNKNOWN}`, 404, 'run/unknown'],
    ['get', `/v1/runs/${UNKNOWN}/events`, 404, 'run/unknown'],
    ['get', `/v1/runs/${UNKNOWN}/guests`, 404, 'run/unknown'],
    ['get', `/v1/runs/${UNKNOWN}/footprints`, 404, 'run/unknown'],
    ['get', `/v1/runs/${UNKNOWN}/cycles`, 404, 'run/unknown'],
    ['get', `/v1/runs/${UNKNOWN}/report`, 404, 'run/unknown'],
    ['get', `/v1/runs/${UNKNOWN}/audit`, 404, 'run/unknown'],
    ['get', '/v1/runs?limit=0', 400, 'input/invalid'],
    ['get', '/v1/runs?colour=red', 400, 'input/unknown-option'],
    ['get', `/v1/guests/${UNKNOWN}/sites`, 404, 'input/not-found'],
    ['get', `/v1/guests/${UNKNOWN}/events`, 404, 'input/not-found'],
    ['get', `/v1/compare?runs=${UNKNOWN}`, 404, 'input/not-found'],
    ['get', '/v1/compare?stage=v2.6.31', 400, 'input/unknown-stage'],
    ['get', '/v1/compare?metric=happiness', 400, 'input/invalid'],
    ['get', '/v1/compare?between=nopv', 400, 'input/invalid'],
    ['get', `/v1/compare?runs=${Array(101).fill(UNKNOWN).join(',')}`, 400, 'input/invalid'],
    ['get', '/v2/runs', 404, 'input/not-found'],
  ] as const)('%s %s is answered with %i %s', async (method, at, status, code) => {
    const { api } = await start();
    const answer = await api[method](at).expect(status).expect('content-type', PROBLEM);
    expect(answer.body).toMatchObject({ status, code, detail: expect.any(String) });
  });

  it.each([
    ['an unknown stage', { fleet: { guests: [{ stage: 'x', workload: 'fork' }] } }, 400, 'input/unknown-stage'],
    ['an unknown field', { fleet: FLEET, hurry: true }, 400, 'input/unknown-option'],
    ['no fleet', {}, 400, 'input/invalid'],
    ['too large a body', { fleet: FLEET, padding: 'x'.repeat(2 << 20) }, 413, 'input/too-large'],
  ])('a run with %s is refused', async (_what, body, status, code) => {
    const { api } = await start();
    const answer = await api.post('/v1/runs').send(body).expect(status);
    expect(answer.body.code).toBe(code);
  });

  it('broken JSON is refused', async () => {
    const { api } = await start();
    const answer = await api.post('/v1/runs').set('content-type', 'application/json').send('{"fleet":').expect(400);
    expect(answer.body.code).toBe('input/invalid');
  });
});

describe('access', () => {
  it('demands the token when there is one', async () => {
    const { api } = await start({ token: TOKEN });
    const refused = await api.get('/v1/runs').expect(401);
    expect(refused.body.code).toBe('access/unauthorized');
    await api.get('/v1/runs').set('authorization', 'Bearer another-token-here').expect(401);
    await api.get('/v1/runs').set('authorization', `Bearer ${TOKEN}`).expect(200);
  });

  it('is limited in rate', async () => {
    const { api } = await start({ requestsPerMinute: 2 });
    await api.get('/v1/runs').expect(200);
    await api.get('/v1/runs').expect(200);
    const refused = await api.get('/v1/runs').expect(429);
    expect(refused.body.code).toBe('access/too-many-requests');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  });

  it.each([
    [{}, '127.0.0.1', undefined],
    [{}, '::1', undefined],
    [{ PVTRAIL_API_TOKEN: TOKEN }, '0.0.0.0', TOKEN],
  ])('%j on %s has the token %s', (environment, host, token) => {
    expect(tokenFrom(environment, host)).toBe(token);
  });

  it.each([
    [{}, '0.0.0.0'],
    [{ PVTRAIL_API_TOKEN: 'short' }, '127.0.0.1'],
    [{ PVTRAIL_API_TOKEN_FILE: '/nonexistent' }, '127.0.0.1'],
    [{ PVTRAIL_API_TOKEN: TOKEN, PVTRAIL_API_TOKEN_FILE: '/nonexistent' }, '127.0.0.1'],
  ])('%j on %s is refused', (environment, host) => {
    expect(() => tokenFrom(environment, host)).toThrow(expect.objectContaining({ code: 'config/invalid' }));
  });
});

describe('the OpenAPI document', () => {
  it('has every operation, each with a route', async () => {
    const { api } = await start();
    const { body } = await api.get('/v1/openapi.json').expect(200);
    expect(body.openapi).toBe('3.1.0');
    const documented = Object.entries(body.paths as Record<string, object>).flatMap(([at, methods]) =>
      Object.keys(methods).map((method) => `${method} ${at}`),
    );
    const operations = Object.values(OPERATIONS).map(({ method, path: at }) => `${method} ${at}`);
    expect(documented.sort()).toEqual(operations.sort());
    for (const operation of documented) {
      const [method, at = ''] = operation.split(' ') as ['get' | 'post' | 'delete', string];
      const answer = await api[method](at.replace('{id}', UNKNOWN));
      expect(answer.body.detail ?? '', operation).not.toContain('Cannot');
    }
  });

  it('names the values that are valid', () => {
    const text = JSON.stringify(openApiDocument());
    for (const name of ['callee-save-pte', 'nullsyscall', 'urn:pvtrail:error', 'savesAndRestores']) {
      expect(text).toContain(name);
    }
  });
});
