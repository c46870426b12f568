import { AppError } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { MemoryTransport } from './memory-transport.js';

const message = (key: string, value = 1) => ({ key, value: new Uint8Array([value]), headers: {} });
const subscription = {
  group: 'g',
  topics: ['t'],
  maxRecords: 2,
  maxBytes: 100,
  retry: { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
};

describe('MemoryTransport', () => {
  it('hands messages of a key over in order and resolves publish only when they are taken', async () => {
    const transport = new MemoryTransport();
    const seen: number[] = [];
    let published = false;
    const publishing = transport
      .publish(
        't',
        [1, 2, 3].map((value) => message('a', value)),
      )
      .then(() => {
        published = true;
      });
    const consumer = transport.consume(subscription, async ({ records }) => {
      expect(published).toBe(false);
      seen.push(...records.flatMap(({ value }) => [...value]));
      return undefined;
    });
    await publishing;
    expect(seen).toEqual([1, 2, 3]);
    await consumer.stop();
  });

  it('does not let a key wait for another one', async () => {
    const transport = new MemoryTransport();
    const slow = Promise.withResolvers<undefined>();
    const consumer = transport.consume(subscription, ({ records }) =>
      records[0]?.key === 'slow' ? slow.promise : Promise.resolve(undefined),
    );
    const waiting = transport.publish('t', [message('slow')]);
    await transport.publish('t', [message('quick')]);
    slow.resolve(undefined);
    await waiting;
    await consumer.drained();
    await consumer.stop();
  });

  it('refuses messages once its consumer has failed', async () => {
    const transport = new MemoryTransport();
    const consumer = transport.consume(subscription, async () => {
      throw new AppError('trace/corrupt-chunk', 'bad');
    });
    await expect(transport.publish('t', [message('a')])).rejects.toThrow('could not be handled');
    await expect(consumer.finished).rejects.toThrow('could not be handled');
    await expect(transport.publish('t', [message('b')])).rejects.toThrow('could not be handled');
  });
});
