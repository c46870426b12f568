import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  type AnyEvent,
  fromMessage,
  guestIdOf,
  makeEvent,
  type PayloadOf,
  parseGuestSpec,
  runIdOf,
  TOPICS,
  toMessage,
} from '@pvtrail/contracts';
import { type EventLog, openSqliteLog } from '@pvtrail/event-log';
import type { Digest } from '@pvtrail/primitives';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { executeGuest } from '../src/guest-execution.js';
import { PatchInbox } from '../src/patch-inbox.js';
import type { Lease } from '../src/worker-pool.js';
import type { FromWorker } from '../src/worker-protocol.js';

const runId = runIdOf('run');
const guestId = guestIdOf(runId, 0, 'guest');
const image = 'a'.repeat(64) as Digest;
const spec = parseGuestSpec({ stage: 'nopv', workload: 'fork' });
const requested = makeEvent('GuestRequested', { guestId, runId, index: 0, spec, image }, { runId, time: new Date(0) });

let folder: string;
let log: EventLog;
let patches: PatchInbox;

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-execution-'));
  log = openSqliteLog({ file: path.join(folder, 'events.sqlite') });
  patches = new PatchInbox(log);
});

afterEach(async () => {
  await patches.stop();
  await log.close();
  fs.rmSync(folder, { recursive: true });
});

/** A worker that boots and then fails. */
const worker = (opTable: PayloadOf<'CallSitesDiscovered'>['opTable']): Lease => {
  const messages: FromWorker[] = [
    { kind: 'booted', instructions: 7, discovery: { sites: [], opTable } },
    { kind: 'failed', failure: { code: 'guest/failed', message: '', registers: {}, lastBlocks: [] } },
  ];
  return {
    send: () => {},
    receive: async () => messages.shift() as FromWorker,
    credit: () => {},
    release: () => {},
  };
};

/** What an earlier process left: the discovery as version 1 of the event, and the patching that followed. */
const recordEarlierExecution = async (): Promise<void> => {
  const at = { runId, time: new Date(0) };
  const { headers, ...message } = toMessage(makeEvent('CallSitesDiscovered', { guestId, sites: [], opTable: [] }, at));
  const old = { ...headers, ce_dataversion: '1', ce_id: '0'.repeat(32) };
  await log.publish(TOPICS.guests, [toMessage(requested as AnyEvent), { ...message, headers: old }]);
  const outcomes = { inline: 0, nop: 0, 'direct-call': 0, 'direct-jump': 0, unchanged: 0, ud2: 0 };
  const done = makeEvent('PatchingCompleted', { guestId, sequence: 0, stage: 'nopv', outcomes }, at);
  await log.publish(TOPICS.patches, [toMessage(done)]);
};

const recordedTypes = async (): Promise<string[]> => {
  const types = [];
  for await (const record of log.read(TOPICS.guests, { key: guestId })) types.push(fromMessage(record).type);
  return types;
};

describe('executeGuest', () => {
  beforeEach(recordEarlierExecution);

  it('takes an event of an older version for the same when it says the same', async () => {
    expect(await executeGuest(requested, worker([]), { log, trace: log, patches })).toBe('failed');
    expect(await recordedTypes()).toEqual(['GuestRequested', 'CallSitesDiscovered', 'GuestBooted', 'GuestFailed']);
  });

  it('stops when the guest does not repeat itself', async () => {
    const other = worker([{ type: 1, target: '0xffffffff81000000' }]);
    await expect(executeGuest(requested, other, { log, trace: log, patches })).rejects.toMatchObject({
      code: 'guest/digest-mismatch',
    });
  });
});
