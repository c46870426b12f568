import { randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import zlib from 'node:zlib';
import { digestOf } from '@pvtrail/primitives';
import type { ChdbResult } from 'chdb';
import { ChdbEngine } from '../chdb-engine.js';
import { readText, writeBody } from './body.js';
import { insertFromFile } from './insert-statement.js';
import { failureReply, ProtocolError } from './protocol-error.js';
import { credentialsOf, type Request, readRequest } from './request.js';
import { Turnstile } from './turnstile.js';

type LocalServerOptions = {
  /** The engine's folder. */
  readonly folder: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Demanded of user `default`; none when not given. */
  readonly password?: string | undefined;
  /** Of a request's body, also once it is decompressed. */
  readonly maxBodyBytes?: number;
};

const LOOPBACK = '127.0.0.1';
const OWN_NAMES = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/;
const MAX_BODY_BYTES = 256 << 20;
/** Statements at a time: each takes one of the four threads that Node has for files and such, too. */
const STATEMENTS = 3;
const MAX_WAITING = 200;
/** Of a connection that nobody uses; the client's is 2.5 s. */
const KEEP_ALIVE_MS = 10_000;
const STOP_DEADLINE_MS = 10_000;
/** Below the engine's folder: rows that are being inserted. */
const UPLOADS = 'uploads';

/**
 * ClickHouse's HTTP protocol on loopback over the embedded engine, as far as clients of one machine need it: statements in the
 * body or as `?query=`, settings and `param_*` of their own for each request, rows of every format, compressed bodies and
 * answers, `/ping`, and errors with ClickHouse's codes. Answers are made whole before they are sent.
 */
export class LocalServer {
  readonly #engine: ChdbEngine;
  readonly #uploads: string;
  readonly #password: string;
  readonly #maxBodyBytes: number;
  readonly #turnstile = new Turnstile(STATEMENTS, MAX_WAITING);
  readonly #server: http.Server;

  private constructor(
    engine: ChdbEngine,
    { folder, password = '', maxBodyBytes = MAX_BODY_BYTES }: LocalServerOptions,
  ) {
    this.#engine = engine;
    this.#uploads = path.resolve(folder, UPLOADS);
    this.#password = password;
    this.#maxBodyBytes = maxBodyBytes;
    this.#server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      void this.#serve(request, response);
    });
  }

  /** @throws AppError `store/locked`, `store/unavailable`, `store/disk-full`; Error `EADDRINUSE` */
  static async start(options: LocalServerOptions): Promise<LocalServer> {
    const engine = await ChdbEngine.open(options.folder);
    const server = new LocalServer(engine, options);
    try {
      // What a killed server had not inserted was not acknowledged either.
      fs.rmSync(server.#uploads, { recursive: true, force: true });
      fs.mkdirSync(server.#uploads, { mode: 0o700 });
      server.#server.listen(options.port, LOOPBACK);
      await once(server.#server, 'listening');
    } catch (error) {
      engine.close();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `http://${LOOPBACK}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Takes nothing new, answers what it has, and closes the engine. Who is slow to send or take loses the connection. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeIdleConnections();
    const deadline = setTimeout(() => this.#server.closeAllConnections(), STOP_DEADLINE_MS);
    await closed;
    clearTimeout(deadline);
    await this.#turnstile.idle();
    this.#engine.close();
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      this.#admit(request);
      const { pathname } = new URL(request.url ?? '/', 'http://localhost');
      if (pathname === '/ping' || pathname === '/replicas_status') this.#send(response, 'Ok.\n');
      else await this.#answer(request, response);
    } catch (error) {
      if (response.headersSent || response.destroyed) {
        response.destroy();
        return;
      }
      const { status, code, text } = failureReply(error);
      // What is left of the body is thrown away.
      if (!request.complete) response.setHeader('Connection', 'close');
      request.resume();
      response.statusCode = status;
      response.setHeader('X-ClickHouse-Exception-Code', code);
      this.#send(response, `${text}\n`);
    }
  }

  #send(response: http.ServerResponse, body: string | Uint8Array): void {
    if (!this.#server.listening) response.setHeader('Connection', 'close');
    response.setHeader('Content-Type', 'text/plain; charset=UTF-8');
    response.end(body);
  }

  /** Only programs of this machine: a page in a browser has an origin, or found this server under another name. */
  #admit(request: http.IncomingMessage): void {
    const { host = '', origin } = request.headers;
    if (origin !== undefined || !OWN_NAMES.test(host)) {
      throw new ProtocolError('ACCESS_DENIED', 'this server is for programs on its own machine');
    }
    const { name, password } = credentialsOf(request);
    const same = timingSafeEqual(Buffer.from(digestOf(password)), Buffer.from(digestOf(this.#password)));
    if (name !== 'default' || !same) {
      throw new ProtocolError(
        'AUTHENTICATION_FAILED',
        `${name}: Authentication failed: wrong password or no such user`,
      );
    }
  }

  async #answer(httpRequest: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const request = readRequest(httpRequest);
    const file = path.join(this.#uploads, randomUUID());
    const insert = insertFromFile(request.query, file);
    try {
      if (insert === undefined) {
        const body = await readText(httpRequest, this.#maxBodyBytes);
        await this.#reply(request, [request.query, body].filter((part) => part !== '').join('\n'), response);
      } else if ((await writeBody(httpRequest, file, this.#maxBodyBytes)) > 0) {
        await this.#reply(request, insert, response);
      } else this.#send(response, '');
    } finally {
      fs.rmSync(file, { force: true });
    }
  }

  async #reply(request: Request, statement: string, response: http.ServerResponse): Promise<void> {
    const result = await this.#turnstile.pass(async () => {
      // Nobody would hear of it, and whoever asked asks again.
      if (response.destroyed) throw new Error('the client has left');
      return this.#run(request, statement);
    });
    const bytes = result.bytes();
    const { rowsRead, bytesRead, elapsed } = result;
    const summary = {
      read_rows: String(rowsRead),
      read_bytes: String(bytesRead),
      written_rows: String(/^\s*INSERT\b/i.test(statement) ? rowsRead : 0),
      elapsed_ns: String(Math.round(elapsed * 1e9)),
    };
    response.setHeader('X-ClickHouse-Format', request.format);
    response.setHeader('X-ClickHouse-Summary', JSON.stringify(summary));
    if (request.queryId !== undefined) response.setHeader('X-ClickHouse-Query-Id', request.queryId);
    if (!request.compressAnswer) this.#send(response, bytes);
    else {
      response.setHeader('Content-Encoding', 'gzip');
      this.#send(response, zlib.gzipSync(bytes, { level: 1 }));
    }
  }

  /** On a connection of its own, so that settings, parameters and the current database end with the request. */
  async #run({ preparation, format }: Request, statement: string): Promise<ChdbResult> {
    if (statement.trim() === '') throw new ProtocolError('SYNTAX_ERROR', 'Empty query');
    const session = this.#engine.connect();
    try {
      if (preparation !== '') await session.queryAsync(preparation);
      return await session.queryAsync(statement, { format });
    } finally {
      session.close();
    }
  }
}
