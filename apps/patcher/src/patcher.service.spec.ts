import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  type AnyEvent,
  type EventTypeName,
  fromMessage,
  guestIdOf,
  makeEvent,
  type PayloadOf,
  parseGuestSpec,
  runIdOf,
  TOPICS,
  toMessage,
  topicOf,
} from '@pvtrail/contracts';
import { type EventLog, openSqliteLog } from '@pvtrail/event-log';
import { type Digest, digestOf } from '@pvtrail/primitives';
import { patchSetHash } from '@pvtrail/pvops';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PatcherService } from './patcher.service.js';

const runId = runIdOf('run');
const guestId = guestIdOf(runId, 0, 'guest');
const spec = parseGuestSpec({ stage: 'identity', workload: 'fork' });

let folder: string;
let log: EventLog;
let services: PatcherService[];

const start = (): PatcherService => {
  const service = new PatcherService({ log, imagesRoot: folder });
  services.push(service);
  return service;
};

const publish = async <T extends EventTypeName>(type: T, payload: PayloadOf<T>): Promise<void> => {
  const event = makeEvent(type, payload, { runId, time: new Date(0) });
  await log.publish(topicOf(type), [toMessage(event as AnyEvent)]);
};

const request = () => publish('GuestRequested', { guestId, runId, index: 0, spec, image: digestOf('image') as Digest });

const discovery = {
  guestId,
  sites: [
    {
      address: '0xffffffff81000040',
      length: 6,
      type: 92,
      clobbers: 0x1ff,
      bytes: 'ff1525000000',
      op: 'mmu.pte_val',
      function: 'sys_fork',
      recordType: 'c' as const,
    },
  ],
  opTable: [{ type: 92, target: '0xffffffff81001000' }],
  special: { nop: '0xffffffff81002000', ident64: '0xffffffff81001000' },
};

/** The patch events of the guest once `type` is among them. */
const patchesUntil = async (type: EventTypeName): Promise<AnyEvent[]> => {
  for (;;) {
    const events: AnyEvent[] = [];
    for await (const record of log.read(TOPICS.patches, { key: guestId })) events.push(fromMessage(record));
    if (events.some((event) => event.type === type)) return events;
    await new Promise((resolve) => setImmediate(resolve));
  }
};

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-patcher-'));
  fs.mkdirSync(path.join(folder, 'native-64'));
  const set = { optimisation: 'identity', stage: 'identity', hash: patchSetHash([]), edits: [] };
  fs.writeFileSync(
    path.join(folder, 'native-64/patch-sets.json'),
    JSON.stringify({ format: 1, base: 'v2.6.29', sets: [set] }),
  );
  log = openSqliteLog({ file: path.join(folder, 'events.sqlite') });
  services = [];
});

afterEach(async () => {
  await Promise.all(services.map((service) => service.onApplicationShutdown()));
  await log.close();
  fs.rmSync(folder, { recursive: true });
});

describe('PatcherService', () => {
  it('brings a requested guest to its stage and patches its call sites by the rules', async () => {
    start();
    await request();
    expect((await patchesUntil('OptimisationApplied')).map(({ type }) => type)).toEqual(['OptimisationApplied']);
    await publish('CallSitesDiscovered', discovery);
    const events = await patchesUntil('PatchingCompleted');
    expect(events.map(({ type }) => type)).toEqual(['OptimisationApplied', 'CallSitesPatched', 'PatchingCompleted']);
    const patched = events.find((event) => event.type === 'CallSitesPatched');
    expect(patched?.payload).toMatchObject({
      sites: [{ outcome: 'inline', bytesBefore: 'ff1525000000', bytesAfter: '4889f80f1f00', nopBytes: 3 }],
    });
  });

  it('decides nothing twice when a request comes again, also after a restart', async () => {
    const first = start();
    await request();
    await publish('CallSitesDiscovered', discovery);
    const before = await patchesUntil('PatchingCompleted');
    await first.onApplicationShutdown();
    services = [];
    start();
    await request();
    await publish('CallSitesDiscovered', discovery);
    const other = guestIdOf(runId, 1, 'another');
    await publish('GuestRequested', { guestId: other, runId, index: 1, spec, image: digestOf('image') as Digest });
    for (let seen = false; !seen; ) {
      for await (const _ of log.read(TOPICS.patches, { key: other })) seen = true;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await patchesUntil('PatchingCompleted')).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  });
});
