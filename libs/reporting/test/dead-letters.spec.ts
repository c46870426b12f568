import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { TOPICS } from '@pvtrail/contracts';
import { type EventLog, openSqliteLog } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deadLettersOf, redrive } from '../src/dead-letters.js';

const KEY = '0'.repeat(32);
const poison = { key: KEY, value: new Uint8Array([1, 2, 3]), headers: { ce_type: 'GuestRequested' } };

let folder: string;
let log: EventLog;

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-dead-'));
  log = openSqliteLog({ file: path.join(folder, 'events.sqlite') });
});

afterEach(async () => {
  await log.close();
  fs.rmSync(folder, { recursive: true });
});

/** Lets a consumer meet what is in the topic of guests; it refuses messages until it is mended. */
const consume = async (isMended: boolean): Promise<number[][]> => {
  const seen: number[][] = [];
  const retry = { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 };
  const consumer = log.consume(
    { group: 'g', topics: [TOPICS.guests], maxRecords: 10, maxBytes: 1 << 20, retry },
    async ({ records }) => {
      if (!isMended) throw new AppError('event/malformed', 'no event');
      seen.push(...records.map(({ value }) => [...value]));
      return undefined;
    },
  );
  await consumer.drained();
  await consumer.stop();
  return seen;
};

describe('dead letters', () => {
  it('are listed with what they failed of, and come again when they are re-driven', async () => {
    await log.publish(TOPICS.guests, [poison]);
    await consume(false);
    const [letter, ...others] = await deadLettersOf(log);
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      topic: TOPICS.guests,
      key: KEY,
      type: 'GuestRequested',
      bytes: 3,
      code: 'event/malformed',
      message: 'no event',
      redriven: false,
    });
    if (letter === undefined) return;
    await redrive(log, letter);
    expect(await deadLettersOf(log)).toEqual([{ ...letter, redriven: true }]);
    expect(await consume(true)).toEqual([[1, 2, 3]]);
  });

  it('that do not exist cannot be re-driven', async () => {
    const refused = expect.objectContaining({ code: 'input/not-found' });
    await expect(redrive(log, { topic: TOPICS.guests, partition: 0, offset: 7 })).rejects.toEqual(refused);
    await expect(redrive(log, { topic: 'other', partition: 0, offset: 0 })).rejects.toEqual(refused);
  });
});
