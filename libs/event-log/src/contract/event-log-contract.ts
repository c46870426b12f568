import { deadTopicOf, type Message } from '@pvtrail/contracts';
import { AppError, type ErrorCode } from '@pvtrail/primitives';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Batch, EventLog, LogRecord, Subscription } from '../port.js';

/** An empty log that can be opened again after it was closed, as a restarted process would. */
export type LogUnderTest = {
  open(): Promise<EventLog>;
  dispose(): Promise<void>;
};

const TOPIC = 'contract.v1';
const OTHER = 'contract.other.v1';

const message = (key: string, text: string): Message => ({ key, value: Buffer.from(text), headers: { text } });
const textOf = ({ value }: { readonly value: Uint8Array }): string => Buffer.from(value).toString();

const subscription = (change: Partial<Subscription> = {}): Subscription => ({
  group: 'contract',
  topics: [TOPIC],
  maxRecords: 3,
  maxBytes: 1 << 20,
  retry: { attempts: 3, firstDelayMs: 0, maxDelayMs: 0 },
  ...change,
});

const alone = (): Subscription => {
  const { group: _, ...rest } = subscription();
  return rest;
};

const readAll = async (log: EventLog, topic: string, key?: string): Promise<LogRecord[]> => {
  const records: LogRecord[] = [];
  for await (const record of log.read(topic, key === undefined ? {} : { key })) records.push(record);
  return records;
};

const refusal = (code: ErrorCode) => expect.objectContaining({ name: 'AppError', code });

/** What every adapter of the log promises. */
export const describeEventLogContract = (adapter: string, create: () => Promise<LogUnderTest>): void => {
  describe(`event log contract: ${adapter}`, () => {
    let target: LogUnderTest;
    let log: EventLog;
    let seen: string[];

    const gather = async ({ records }: Batch): Promise<undefined> => {
      seen.push(...records.map(textOf));
    };
    const restart = async () => {
      await log.close();
      log = await target.open();
    };

    beforeEach(async () => {
      target = await create();
      log = await target.open();
      seen = [];
    });
    afterEach(async () => {
      await log.close();
      await target.dispose();
    });

    describe('appending and reading', () => {
      it('key, value and headers come back as they were, every byte value included', async () => {
        const value = Uint8Array.from({ length: 256 }, (_, byte) => byte);
        await log.publish(TOPIC, [{ key: 'k', value, headers: { a: 'ä', b: '' } }]);
        const [record] = await readAll(log, TOPIC);
        expect(record).toMatchObject({ topic: TOPIC, key: 'k', headers: { a: 'ä', b: '' } });
        expect([...(record?.value ?? [])]).toEqual([...value]);
      });

      it('a value of a megabyte comes back whole', async () => {
        const value = Uint8Array.from({ length: 1 << 20 }, (_, index) => (index * 31) & 0xff);
        await log.publish(TOPIC, [{ key: 'k', value, headers: {} }]);
        const [record] = await readAll(log, TOPIC);
        expect(Buffer.compare(record?.value ?? new Uint8Array(), value)).toBe(0);
      });

      it('a topic nobody wrote to is empty', async () => {
        expect(await readAll(log, 'never.v1')).toEqual([]);
      });

      it('the records of a key stay in order', async () => {
        const texts = Array.from({ length: 1000 }, (_, index) => `${index}`);
        await log.publish(
          TOPIC,
          texts.map((text) => message('k', text)),
        );
        expect((await readAll(log, TOPIC, 'k')).map(textOf)).toEqual(texts);
      });

      it('reading a key shows no other key and no other topic', async () => {
        await log.publish(TOPIC, [message('a', '1'), message('b', '2'), message('a', '3')]);
        await log.publish(OTHER, [message('a', '4')]);
        expect((await readAll(log, TOPIC, 'a')).map(textOf)).toEqual(['1', '3']);
      });

      it('reading begins at the offset asked for', async () => {
        await log.publish(TOPIC, [message('k', '1'), message('k', '2'), message('k', '3')]);
        const [, second] = await readAll(log, TOPIC);
        const rest: string[] = [];
        for await (const record of log.read(TOPIC, { from: second?.offset ?? -1 })) rest.push(textOf(record));
        expect(rest).toEqual(['2', '3']);
      });

      it('an append tells the length of its stream', async () => {
        expect(await log.append(TOPIC, 'k', [message('k', '1'), message('k', '2')])).toBe(2);
        expect(await log.append(TOPIC, 'k', [message('k', '3')], 2)).toBe(3);
        expect(await log.append(TOPIC, 'other', [message('k', '1')], 0)).toBe(1);
      });

      it('an append that expects another length is refused and adds nothing', async () => {
        await log.append(TOPIC, 'k', [message('k', '1')]);
        await expect(log.append(TOPIC, 'k', [message('k', '2')], 0)).rejects.toEqual(refusal('log/concurrency'));
        expect((await readAll(log, TOPIC)).map(textOf)).toEqual(['1']);
      });

      it('everything is there after a restart', async () => {
        await log.append(TOPIC, 'k', [message('k', '1'), message('k', '2')]);
        await restart();
        expect((await readAll(log, TOPIC)).map(textOf)).toEqual(['1', '2']);
        expect(await log.append(TOPIC, 'k', [message('k', '3')], 2)).toBe(3);
      });

      it('truncated records are gone, later ones and the length of the stream stay', async () => {
        await log.append(TOPIC, 'k', [message('k', '1'), message('k', '2')]);
        const [, second] = await readAll(log, TOPIC);
        await log.truncate(TOPIC, second?.partition ?? 0, second?.offset ?? 0);
        expect((await readAll(log, TOPIC)).map(textOf)).toEqual(['2']);
        expect(await log.append(TOPIC, 'k', [message('k', '3')], 2)).toBe(3);
      });
    });

    describe('consuming', () => {
      it('a new group gets everything from the beginning, then what comes', async () => {
        await log.publish(TOPIC, [message('a', '1'), message('b', '2')]);
        const consumer = log.consume(subscription(), gather);
        await consumer.drained();
        await log.publish(TOPIC, [message('a', '3')]);
        await consumer.drained();
        expect(seen.slice(0, 2).toSorted()).toEqual(['1', '2']);
        expect(seen.slice(2)).toEqual(['3']);
      });

      it('every group gets every record', async () => {
        await log.publish(TOPIC, [message('k', '1')]);
        const one = log.consume(subscription({ group: 'one' }), gather);
        const two = log.consume(subscription({ group: 'two' }), gather);
        await Promise.all([one.drained(), two.drained()]);
        expect(seen).toEqual(['1', '1']);
      });

      it('a consumer without a group gets what is published after it started, and nothing of it is kept', async () => {
        await log.publish(TOPIC, [message('k', '1')]);
        const one = log.consume(alone(), gather);
        await one.started;
        const two = log.consume(alone(), gather);
        await two.started;
        await log.publish(TOPIC, [message('k', '2')]);
        await Promise.all([one.drained(), two.drained()]);
        expect(seen).toEqual(['2', '2']);
        await restart();
        const three = log.consume(alone(), gather);
        await three.started;
        await log.publish(TOPIC, [message('k', '3')]);
        await three.drained();
        expect(seen).toEqual(['2', '2', '3']);
      });

      it('a consumer reads all of its topics', async () => {
        await log.publish(TOPIC, [message('k', '1')]);
        await log.publish(OTHER, [message('k', '2')]);
        await log.consume(subscription({ topics: [TOPIC, OTHER] }), gather).drained();
        expect(seen.toSorted()).toEqual(['1', '2']);
      });

      it('a batch holds one topic, and no more records and bytes than asked for', async () => {
        const batches: Batch[] = [];
        await log.publish(
          TOPIC,
          ['aaaa', 'bbbb', 'cccccccccccc', 'd', 'e', 'f', 'g'].map((text) => message('k', text)),
        );
        await log.publish(OTHER, [message('k', 'h')]);
        const wanted = subscription({ topics: [TOPIC, OTHER], maxRecords: 3, maxBytes: 10 });
        await log
          .consume(wanted, async (batch) => {
            batches.push(batch);
            return undefined;
          })
          .drained();
        for (const { topic, records } of batches) {
          const bytes = records.reduce((sum, { value }) => sum + value.byteLength, 0);
          expect(records.length).toBeLessThanOrEqual(3);
          expect(records.length === 1 || bytes <= 10).toBe(true);
          expect(new Set(records.map((record) => record.topic))).toEqual(new Set([topic]));
        }
        expect(batches.flatMap(({ records }) => records).length).toBe(8);
      });

      it('what was handled does not come again after a restart', async () => {
        await log.publish(TOPIC, [message('k', '1')]);
        await log.consume(subscription(), gather).drained();
        await restart();
        await log.publish(TOPIC, [message('k', '2')]);
        await log.consume(subscription(), gather).drained();
        expect(seen).toEqual(['1', '2']);
      });

      it('what a handler still gathers comes again after a restart', async () => {
        await log.publish(
          TOPIC,
          ['1', '2', '3', '4'].map((text) => message('k', text)),
        );
        const [, second] = await readAll(log, TOPIC);
        const holding = async (batch: Batch) => {
          await gather(batch);
          return { firstUnhandled: second?.offset ?? -1 };
        };
        await log.consume(subscription({ maxRecords: 2 }), holding).drained();
        await restart();
        await log.consume(subscription(), gather).drained();
        expect(seen).toEqual(['1', '2', '3', '4', '2', '3', '4']);
      });

      it('stopping lets the batch in hand finish and commits it', async () => {
        await log.publish(TOPIC, [message('k', '1'), message('k', '2')]);
        const stopped: Promise<void>[] = [];
        const consumer = log.consume(subscription({ maxRecords: 1 }), async (batch) => {
          if (seen.length === 0) stopped.push(consumer.stop());
          return gather(batch);
        });
        await consumer.finished;
        await Promise.all(stopped);
        expect(seen).toEqual(['1']);
        await restart();
        await log.consume(subscription(), gather).drained();
        expect(seen).toEqual(['1', '2']);
      });
    });

    describe('failing handlers', () => {
      const poison = new AppError('trace/corrupt-chunk', 'digest differs');
      const full = new AppError('store/disk-full', 'no space');

      it('a record that cannot be handled goes to the dead-letter topic with its code, and blocks nobody', async () => {
        await log.publish(
          TOPIC,
          ['1', 'bad', '3'].map((text) => message('k', text)),
        );
        const picky = async (batch: Batch) => {
          if (batch.records.some((record) => textOf(record) === 'bad')) throw poison;
          return gather(batch);
        };
        await log.consume(subscription(), picky).drained();
        expect(seen).toEqual(['1', '3']);
        const dead = await readAll(log, deadTopicOf(TOPIC));
        expect(dead.map(textOf)).toEqual(['bad']);
        expect(dead[0]).toMatchObject({
          key: 'k',
          headers: { text: 'bad', 'dead-code': 'trace/corrupt-chunk', 'dead-topic': TOPIC },
        });
      });

      it('a dead record does not come again after a restart', async () => {
        await log.publish(TOPIC, [message('k', 'bad')]);
        await log
          .consume(subscription(), async () => {
            throw poison;
          })
          .drained();
        await restart();
        await log.consume(subscription(), gather).drained();
        expect(seen).toEqual([]);
      });

      it('an unexpected error is tried again before the record is dead', async () => {
        await log.publish(TOPIC, [message('k', '1')]);
        let attempts = 0;
        await log
          .consume(subscription(), async () => {
            attempts++;
            throw new TypeError('a bug');
          })
          .drained();
        expect(attempts).toBe(3);
        const [dead] = await readAll(log, deadTopicOf(TOPIC));
        expect(dead?.headers['dead-code']).toBe('log/unhandled');
      });

      it('a retriable failure that passes loses nothing and kills nothing', async () => {
        await log.publish(TOPIC, [message('k', '1')]);
        let attempts = 0;
        const flaky = async (batch: Batch) => {
          if (++attempts < 3) throw full;
          return gather(batch);
        };
        await log.consume(subscription(), flaky).drained();
        expect(seen).toEqual(['1']);
        expect(await readAll(log, deadTopicOf(TOPIC))).toEqual([]);
      });

      it('a retriable failure that stays ends the consumer; the record comes again after a restart', async () => {
        await log.publish(TOPIC, [message('k', '1'), message('k', '2')]);
        const consumer = log.consume(subscription(), async () => {
          throw full;
        });
        await expect(consumer.finished).rejects.toEqual(refusal('store/disk-full'));
        await expect(consumer.drained()).rejects.toEqual(refusal('store/disk-full'));
        await restart();
        await log.consume(subscription(), gather).drained();
        expect(seen).toEqual(['1', '2']);
        expect(await readAll(log, deadTopicOf(TOPIC))).toEqual([]);
      });
    });
  });
};
