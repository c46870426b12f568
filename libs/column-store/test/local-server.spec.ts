import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import zlib from 'node:zlib';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LocalServer } from '../src/local-server/index.js';

const MAX_BODY_BYTES = 1 << 20;
const QUIET = { level: ClickHouseLogLevel.OFF };

let folder: string;
let server: LocalServer;
let client: ClickHouseClient;
const clients: ClickHouseClient[] = [];

const connected = (options: NonNullable<Parameters<typeof createClient>[0]> = {}): ClickHouseClient => {
  const made = createClient({ url: server.url, log: QUIET, ...options });
  clients.push(made);
  return made;
};

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-local-'));
  server = await LocalServer.start({ folder, port: 0, maxBodyBytes: MAX_BODY_BYTES });
  client = createClient({ url: server.url, log: QUIET });
  const columns = 'x UInt32, s String, t DateTime64(3)';
  const window = 'SETTINGS non_replicated_deduplication_window = 100';
  await client.command({ query: `CREATE TABLE t (${columns}) ENGINE = MergeTree ORDER BY x ${window}` });
});
afterEach(async () => {
  for (const each of clients.splice(0)) await each.close();
  await client.command({ query: 'TRUNCATE TABLE t' });
});
afterAll(async () => {
  await client.close();
  await server.stop();
  fs.rmSync(folder, { recursive: true });
});

const rowsOf = async (query: string, options: object = {}, by = client): Promise<unknown[]> =>
  (await by.query({ query, format: 'JSONEachRow', ...options })).json();
const count = async (): Promise<number> =>
  Number(((await rowsOf('SELECT count() AS n FROM t')) as { n: string }[])[0]?.n);
const uploads = () => fs.readdirSync(path.join(folder, 'uploads'));

type Answer = { status: number; code: string | undefined; body: string };

/** A request as no client would send it. */
const raw = async (target: string, options: http.RequestOptions = {}, body?: Uint8Array | string): Promise<Answer> => {
  const request = http.request(new URL(target, server.url), { method: 'POST', agent: false, ...options });
  // The server may answer and go before it has taken all.
  request.on('error', () => {});
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString('utf8');
  const code = response.headers['x-clickhouse-exception-code'];
  return { status: response.statusCode ?? 0, code: typeof code === 'string' ? code : undefined, body: text };
};

describe('the protocol, by the official client', () => {
  it('answers a ping, and a query in the format asked for', async () => {
    expect(await client.ping()).toEqual({ success: true });
    expect(await client.ping({ select: true })).toMatchObject({ success: true });
    const result = await client.query({ query: 'SELECT 1 AS a, 2 AS b', format: 'CSVWithNames', query_id: 'mine' });
    expect(result.query_id).toBe('mine');
    expect(await result.text()).toBe('"a","b"\n1,2\n');
  });

  it('parameters are values, whatever is in them', async () => {
    const texts = ["it's", 'a\tb\nc\\d', '{x:String}', "'; DROP TABLE t; --", 'naïve ☃', ''];
    for (const s of texts) {
      const query_params = { s, list: texts, n: 18446744073709551615n, map: { a: 1 } };
      const query =
        'SELECT {s:String} AS s, {list:Array(String)} AS list, {n:UInt64} AS n, {map:Map(String, UInt8)} AS map';
      const settings = { output_format_json_quote_64bit_integers: 1 } as const;
      expect(await rowsOf(query, { query_params, clickhouse_settings: settings })).toEqual([
        { s, list: texts, n: '18446744073709551615', map: { a: 1 } },
      ]);
    }
  });

  it('rows go in as text, in a stream, compressed, and in binary', async () => {
    const t = '2026-01-02 03:04:05.678';
    await client.insert({ table: 't', values: [{ x: 1, s: 'ä', t }], format: 'JSONEachRow' });
    await client.insert({
      table: 't',
      columns: ['x', 's'],
      values: Readable.from(['2\ttab\\t\n', '3\tnone\n'], { objectMode: false }),
      format: 'TabSeparated',
    });
    const compressing = connected({ compression: { request: true, response: true } });
    await compressing.insert({ table: 't', values: [{ x: 4, s: 'gzip' }], format: 'JSONEachRow' });
    const binary = Buffer.from([5, 0, 0, 0, 4, 0, 0xff, 0xfe, 0x0a]);
    const query = "INSERT INTO t (x, s) SETTINGS insert_deduplication_token = 'once' FORMAT RowBinary";
    for (let time = 0; time < 2; time++) {
      const { stream } = await client.exec({ query, values: Readable.from([binary], { objectMode: false }) });
      await stream.toArray();
    }
    const expected = [
      { x: 1, s: Buffer.from('ä').toString('hex').toUpperCase(), t },
      ...[
        [2, 'tab\t'],
        [3, 'none'],
        [4, 'gzip'],
      ].map(([x, s]) => ({
        x,
        s: Buffer.from(String(s)).toString('hex').toUpperCase(),
        t: '1970-01-01 00:00:00.000',
      })),
      { x: 5, s: '00FFFE0A', t: '1970-01-01 00:00:00.000' },
    ];
    const settings = { clickhouse_settings: { session_timezone: 'UTC' } };
    const select = 'SELECT x, hex(s) AS s, t FROM t ORDER BY x';
    expect(await rowsOf(select, settings)).toEqual(expected);
    expect(await rowsOf(select, settings, compressing)).toEqual(expected);
    expect(uploads()).toEqual([]);
  });

  it('an insert without rows, and one by a query, are what they are with a server', async () => {
    await client.insert({ table: 't', values: Readable.from([]), format: 'JSONEachRow' });
    expect(await count()).toBe(0);
    await client.command({ query: "INSERT INTO t SELECT number, 'FORMAT', now() FROM numbers(3)" });
    await client.command({ query: "INSERT INTO t (x, s) VALUES (7, 'SETTINGS x FORMAT y')" });
    expect(await count()).toBe(4);
  });

  it('a failure has the code, the type and the text of ClickHouse', async () => {
    await expect(client.query({ query: 'SELECT FROM WHERE' })).rejects.toMatchObject({ code: '62' });
    await expect(client.query({ query: 'SELECT * FROM missing' })).rejects.toMatchObject({
      code: '60',
      type: 'UNKNOWN_TABLE',
    });
    await expect(
      client.command({ query: 'SELECT 1', clickhouse_settings: { no_such: 1 } as never }),
    ).rejects.toMatchObject({ code: '115' });
    await expect(connected({ database: 'missing' }).query({ query: 'SELECT 1' })).rejects.toMatchObject({ code: '81' });
    const wrong = client.insert({ table: 't', values: [{ x: 1 }, { x: 'no number' }], format: 'JSONEachRow' });
    await expect(wrong).rejects.toMatchObject({ code: '27' });
    expect(await count()).toBe(0);
  });

  it('settings, parameters and the current database end with the request', async () => {
    await client.command({ query: 'CREATE DATABASE IF NOT EXISTS other' });
    const query = "SELECT getSetting('max_threads') AS threads, currentDatabase() AS name";
    const other = connected({ database: 'other', clickhouse_settings: { max_threads: 7 } });
    const usual = await rowsOf(query);
    expect(await rowsOf(query, {}, other)).toEqual([{ threads: 7, name: 'other' }]);
    await client.command({ query: 'SET max_threads = 9' });
    expect(await rowsOf(query)).toEqual(usual);
    await expect(client.query({ query: 'SELECT {s:String}' })).rejects.toMatchObject({ code: '456' });
  });

  it('many clients at once get their own answers', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const own = connected({ clickhouse_settings: { max_threads: (index % 3) + 1 } });
        const query =
          "SELECT {index:UInt32} AS index, toUInt32(getSetting('max_threads')) AS threads, sleep(0.001) AS zero";
        const rows = [];
        for (let time = 0; time < 10; time++) {
          await own.insert({ table: 't', values: [{ x: index * 10 + time }], format: 'JSONEachRow' });
          rows.push(...(await rowsOf(query, { query_params: { index } }, own)));
        }
        return rows;
      }),
    );
    for (const [index, rows] of answers.entries()) {
      expect(rows).toEqual(Array.from({ length: 10 }, () => ({ index, threads: (index % 3) + 1, zero: 0 })));
    }
    expect(await rowsOf('SELECT uniqExact(x) AS n FROM t')).toEqual([{ n: 120 }]);
  });
});

describe('a client that leaves', () => {
  it('while its statement waits: it is not run', async () => {
    const sent = async (statement: string) => {
      const request = http.request(new URL('/', server.url), { method: 'POST', agent: false });
      request.on('error', () => {});
      request.end(statement);
      await once(request, 'finish');
      // The answer on another connection shows that this one has been read.
      await client.ping();
      return request;
    };
    const answers: Promise<unknown[]>[] = [];
    for (let place = 0; place < 3; place++) answers.push(once(await sent('SELECT sleep(2)'), 'response'));
    (await sent('INSERT INTO t (x) VALUES (1)')).destroy();
    await Promise.all(answers);
    expect(await count()).toBe(0);
  });
});

describe('what is refused', () => {
  const INSERT = `/?query=${encodeURIComponent('INSERT INTO t (s) FORMAT LineAsString')}`;

  it.each([
    ['as it is', {}, (bytes: number) => Buffer.alloc(bytes, 'x')],
    ['compressed', { 'Content-Encoding': 'gzip' }, (bytes: number) => zlib.gzipSync(Buffer.alloc(bytes, 'x'))],
  ])('a body that is too long, %s', async (_, headers, made) => {
    expect(await raw(INSERT, { headers }, made(MAX_BODY_BYTES + 1))).toMatchObject({ status: 413, code: '307' });
    expect(await count()).toBe(0);
    expect(await raw(INSERT, { headers }, made(MAX_BODY_BYTES))).toMatchObject({ status: 200 });
    expect(await count()).toBe(1);
    expect(await raw('/', { headers }, made(MAX_BODY_BYTES + 1))).toMatchObject({ status: 413, code: '307' });
    expect(uploads()).toEqual([]);
  });

  it('a body that breaks off: no row of it is kept', async () => {
    const request = http.request(new URL(INSERT, server.url), { method: 'POST', agent: false });
    request.on('error', () => {});
    request.write('one line\nanother\n');
    while (uploads().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    request.destroy();
    while (uploads().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await count()).toBe(0);
  });

  it('a body that cannot be decompressed, or in an unknown encoding', async () => {
    const damaged = zlib.gzipSync('some rows\n').fill(0, 12, 16);
    expect(await raw(INSERT, { headers: { 'Content-Encoding': 'gzip' } }, damaged)).toMatchObject({
      status: 400,
      code: '271',
    });
    expect(await raw(INSERT, { headers: { 'Content-Encoding': 'snappy' } }, 'x')).toMatchObject({
      status: 501,
      code: '48',
    });
    expect(await count()).toBe(0);
  });

  it.each([
    ['a wrong password', { headers: { 'X-ClickHouse-Key': 'guessed' } }, '516'],
    ['an unknown user', { headers: { 'X-ClickHouse-User': 'root' } }, '516'],
    ['a page in a browser', { headers: { Origin: 'https://example.org' } }, '497'],
    ['another name for this address', { headers: { Host: 'rebound.example.org' } }, '497'],
  ])('%s', async (_, options, code) => {
    expect(await raw('/', options, 'SELECT 1')).toMatchObject({ status: 403, code });
  });

  it('a change by GET', async () => {
    const query = encodeURIComponent('TRUNCATE TABLE t');
    expect(await raw(`/?query=${query}`, { method: 'GET' })).toMatchObject({ code: '164' });
    expect(await raw(`/?query=${query}&readonly=0`, { method: 'GET' })).toMatchObject({ code: '164' });
    expect((await raw('/?query=SELECT+1', { method: 'GET' })).body).toBe('1\n');
  });

  it('sessions and native compression, by name; settings that are no names', async () => {
    expect(await raw('/?session_id=mine', {}, 'SELECT 1')).toMatchObject({ status: 501, code: '48' });
    expect(await raw('/?compress=1', {}, 'SELECT 1')).toMatchObject({ status: 501, code: '48' });
    expect(await raw('/?a%20%3D%201%3B=1', {}, 'SELECT 1')).toMatchObject({ code: '115' });
    expect(await raw('/', {}, '')).toMatchObject({ code: '62' });
  });
});
