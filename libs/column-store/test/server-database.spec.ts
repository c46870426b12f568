import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openColumnStore, openDatabase, type ServerLocation } from '../src/index.js';
import { LocalServer } from '../src/local-server/index.js';

const PASSWORD = 'only for these tests';
const AT_ONCE = { attempts: 3, firstDelayMs: 1, maxDelayMs: 1 };

let folder: string;
let server: LocalServer;
const open: { close(): unknown }[] = [];

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-server-'));
  server = await LocalServer.start({ folder: path.join(folder, 'engine'), port: 0, password: PASSWORD });
});
afterAll(async () => {
  await server.stop();
  fs.rmSync(folder, { recursive: true });
});
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const opened = async (location: Partial<ServerLocation>): Promise<Database> => {
  const database = await openDatabase({ url: server.url, username: 'default', password: PASSWORD, ...location });
  open.push(database);
  return database;
};

const listening = async (proxy: http.Server): Promise<string> => {
  open.push({
    close: () => {
      proxy.closeAllConnections();
      proxy.close();
    },
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
};

/** Passes everything on to the server. */
const forward: http.RequestListener = (request, response) => {
  const { method, url: target, headers } = request;
  const onward = http.request(new URL(target ?? '/', server.url), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(response);
  });
  request.pipe(onward);
};

const failureOf = async (action: Promise<unknown>): Promise<Error & { code?: string }> => {
  const failure = await action.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure instanceof Error) return failure;
  throw new Error('did not fail');
};

describe('a server', () => {
  it('a missing database is made', async () => {
    const database = await opened({ database: "it's `new`" });
    expect(await database.query('SELECT currentDatabase() AS name')).toEqual([{ name: "it's `new`" }]);
  });

  it('a wrong password is store/unavailable, at once, and in no part of the error', async () => {
    const failure = await failureOf(opened({ password: 'a wrong one' }));
    expect(failure.code).toBe('store/unavailable');
    expect(failure.message).toMatch(/Authentication failed/);
    expect(inspect(failure, { depth: 10, showHidden: true })).not.toContain('a wrong one');
  });

  it('a server that is not there is store/unavailable, after the retries, without the password', async () => {
    const failure = await failureOf(opened({ url: 'http://127.0.0.1:1', retry: AT_ONCE }));
    expect(failure.code).toBe('store/unavailable');
    expect(inspect(failure, { depth: 10, showHidden: true })).not.toContain(PASSWORD);
  });

  it('a refused statement is store/query-failed with the code of ClickHouse', async () => {
    const database = await opened({});
    await expect(database.query('SELECT nonsense')).rejects.toMatchObject({
      code: 'store/query-failed',
      details: { clickhouse: '47' },
    });
  });

  it('an insert whose answers are lost is in the table once', async () => {
    let lost = 0;
    const host = await listening(
      http.createServer((request, response) => {
        if (!request.url?.includes('INSERT') || lost === AT_ONCE.attempts - 1) {
          forward(request, response);
          return;
        }
        lost++;
        // The rows arrive; the answer does not.
        const discarded = new http.ServerResponse(request);
        discarded.write = () => true;
        discarded.end = () => {
          response.destroy();
          return discarded;
        };
        forward(request, discarded as typeof response);
      }),
    );
    const database = await opened({ url: `http://${host}`, database: 'lossy', retry: AT_ONCE });
    await database.define(
      'CREATE TABLE IF NOT EXISTS t (x UInt8) ENGINE = MergeTree ORDER BY x SETTINGS non_replicated_deduplication_window = 10',
    );
    await database.insert('t', [{ x: 1 }, { x: 2 }], 'a token');
    expect(lost).toBe(2);
    expect(await database.query('SELECT count() AS n FROM t')).toEqual([{ n: '2' }]);
  });

  it('what a server refuses for now is tried again, and what it refuses for good is not', async () => {
    const codes: string[] = ['202', '999', '62'];
    let requests = 0;
    const host = await listening(
      http.createServer((_, response) => {
        const code = codes[requests++] ?? '1001';
        response.writeHead(500, { 'X-ClickHouse-Exception-Code': code });
        response.end(`Code: ${code}. DB::Exception: made up. (MADE_UP)\n`);
      }),
    );
    const retry = { ...AT_ONCE, attempts: 9 };
    await expect(openDatabase({ url: `http://${host}`, retry })).rejects.toMatchObject({
      code: 'store/query-failed',
      details: { clickhouse: '62' },
    });
    expect(requests).toBe(3);
  });

  it('an answer that is late is store/unavailable', async () => {
    const host = await listening(http.createServer(() => {}));
    const retry = { ...AT_ONCE, attempts: 1 };
    await expect(openDatabase({ url: `http://${host}`, retry, requestTimeoutMs: 50 })).rejects.toMatchObject({
      code: 'store/unavailable',
    });
  });
});

describe('TLS', () => {
  const file = (name: string) => path.join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const hasOpenssl = ((): boolean => {
    try {
      execFileSync('openssl', ['version'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  })();

  const authority = (name: string) =>
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
    );
  const certificate = (name: string, signer: string) => {
    openssl(
      'req',
      '-new',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
    );
    fs.writeFileSync(file(`${name}.ext`), 'subjectAltName = IP:127.0.0.1\n');
    openssl(
      'x509',
      '-req',
      '-days',
      '2',
      '-in',
      `${name}.csr`,
      '-CA',
      `${signer}.pem`,
      '-CAkey',
      `${signer}.key`,
      '-CAcreateserial',
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    );
  };

  it('the server is checked against the authority given, and shown the certificate it asks for', async (context) => {
    context.skip(!hasOpenssl, 'skipped, because there is no openssl here to make certificates with');
    authority('ours');
    authority('theirs');
    certificate('server', 'ours');
    certificate('writer', 'ours');
    const pem = (name: string) => fs.readFileSync(file(name));
    const host = await listening(
      https.createServer(
        {
          cert: pem('server.pem'),
          key: pem('server.key'),
          ca: pem('ours.pem'),
          requestCert: true,
          rejectUnauthorized: true,
        },
        forward,
      ),
    );
    const location = {
      url: `https://${host}`,
      database: 'tls',
      username: 'default',
      password: PASSWORD,
      retry: AT_ONCE,
    };
    const mutual = { ca_cert: pem('ours.pem'), cert: pem('writer.pem'), key: pem('writer.key') };
    const store = await openColumnStore({ ...location, tls: mutual });
    expect(await store.runs()).toEqual([]);
    await store.close();

    const unavailable = expect.objectContaining({ code: 'store/unavailable' });
    await expect(openColumnStore({ ...location, tls: { ...mutual, ca_cert: pem('theirs.pem') } })).rejects.toEqual(
      unavailable,
    );
    await expect(openColumnStore({ ...location, tls: { ca_cert: pem('ours.pem') } })).rejects.toEqual(unavailable);
    await expect(openColumnStore(location)).rejects.toEqual(unavailable);
  });
});
