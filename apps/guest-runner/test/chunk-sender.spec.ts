import type { Message } from '@pvtrail/contracts';
import { type ChunkProduced, fromChunkMessage } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { ChunkSender } from '../src/chunk-sender.js';

const chunk = (sequence: number): ChunkProduced => {
  const sizes = { instructions: 1, rawBytes: 1, bytes: 1 };
  const [id, digest] = ['0'.repeat(32), '0'.repeat(64)];
  return { runId: id, guestId: id, sequence, ...sizes, digest, last: false } as ChunkProduced;
};

/** Publishes whose end the test decides, with the sequence numbers that each took. */
const slowTrace = () => {
  const taken: number[][] = [];
  const ends: PromiseWithResolvers<void>[] = [];
  const publish = (_topic: string, messages: readonly Message[]): Promise<void> => {
    taken.push(messages.map((message) => fromChunkMessage(message as never).chunk.sequence));
    const end = Promise.withResolvers<void>();
    ends.push(end);
    return end.promise;
  };
  return { trace: { publish }, taken, ends };
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('ChunkSender', () => {
  it('sends in order, together what came meanwhile, and says of each when it is there', async () => {
    const { trace, taken, ends } = slowTrace();
    let sent = 0;
    const sender = new ChunkSender(trace, undefined, () => sent++);
    for (const sequence of [0, 1, 2]) sender.send(chunk(sequence), new Uint8Array());
    await turn();
    expect(taken).toEqual([[0]]);
    ends[0]?.resolve();
    await turn();
    expect([taken, sent]).toEqual([[[0], [1, 2]], 1]);
    ends[1]?.resolve();
    await sender.sent();
    expect(sent).toBe(3);
    sender.send(chunk(3), new Uint8Array());
    await turn();
    expect(taken.at(-1)).toEqual([3]);
  });

  it('breaks off what goes on meanwhile when a chunk cannot be sent', async () => {
    const { trace, ends } = slowTrace();
    const sender = new ChunkSender(trace, undefined, () => {});
    sender.send(chunk(0), new Uint8Array());
    const work = sender.whileSending(new Promise(() => {}));
    await turn();
    ends[0]?.reject(new Error('no room'));
    await expect(work).rejects.toThrow('no room');
    await expect(sender.sent()).rejects.toThrow('no room');
  });
});
