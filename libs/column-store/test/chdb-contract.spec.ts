import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describeColumnStoreContract } from '../src/contract/index.js';
import { createColumnStore, openDatabase } from '../src/index.js';

describeColumnStoreContract('chdb', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-store-'));
  return {
    openDatabase: () => openDatabase({ path: folder }),
    createStore: createColumnStore,
    dispose: async () => fs.rmSync(folder, { recursive: true }),
  };
});
