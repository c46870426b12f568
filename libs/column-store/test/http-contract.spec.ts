import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { describeColumnStoreContract } from '../src/contract/index.js';
import { createColumnStore, openDatabase } from '../src/index.js';
import { LocalServer } from '../src/local-server/index.js';

let folder: string;
let server: LocalServer;
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-http-'));
  server = await LocalServer.start({ folder, port: 0, password: 'of the contract' });
});
afterAll(async () => {
  await server.stop();
  fs.rmSync(folder, { recursive: true });
});

describeColumnStoreContract('ClickHouse over HTTP', async () => {
  const database = `contract_${randomUUID().replaceAll('-', '')}`;
  return {
    openDatabase: () => openDatabase({ url: server.url, database, username: 'default', password: 'of the contract' }),
    createStore: createColumnStore,
    dispose: async () => {},
  };
});
