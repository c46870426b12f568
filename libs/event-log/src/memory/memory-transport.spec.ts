import { AppError } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { MemoryTransport } from './memory-transport.js';

const message = (key: string) => ({ key, value: new Uint8Array([1]), headers: {} });
const subscription = {
  group: 'g',
  topics: ['t'],
  maxRecords: 2,
  maxBytes: 100,
  retry: { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
};

describe('MemoryTransport', () => {
  it('hands messages over in order and resolves publish only when they are taken', async () => {
    const transport = new MemoryTransport();
    const seen: string[] = [];
    let published = false;
    const publishing = transport.publish('t', ['a', 'b', 'c'].map(message)).then(() => {
      published = true;
    });
    expect(published).toBe(false);
    const consumer = transport.consume(subscription, async ({ records }) => {
      expect(published).toBe(false);
      seen.push(...records.map(({ key }) => key));
      return undefined;
    });
    await publishing;
    expect(seen).toEqual(['a', 'b', 'c']);
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
