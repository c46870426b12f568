import { digestOf } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import {
  CHUNK_LIMITS,
  type ChunkLimits,
  type EncodedChunk,
  openChunk,
  ReferenceEncoder,
  sealChunk,
} from '../src/index.js';
import { recordSyntheticGuest } from '../src/testing/synthetic-guest.js';

const trace = recordSyntheticGuest({ seed: 3, functions: 60, instructions: 60_000, faultEvery: 100 });

const chunksWith = (limits: Partial<ChunkLimits>): EncodedChunk[] => {
  const encoder = new ReferenceEncoder(digestOf('guest'), { ...CHUNK_LIMITS, ...limits });
  return [...encoder.append(trace.columns, trace.blocks), encoder.finish()];
};

describe('a chunk', () => {
  it('ends after a million instructions or 768 KiB', () => {
    expect(CHUNK_LIMITS).toMatchObject({ instructions: 1_000_000, bytes: 768 * 1024 });
  });

  it.each([2_000, 4_000, 8_000])('ends at the first block boundary behind its limit of %i bytes', (bytes) => {
    const whole = chunksWith({ bytes }).slice(0, -1);
    expect(whole.length).toBeGreaterThan(1);
    // a block and its entry in the dictionary are what it may be beyond
    for (const { body } of whole) expect(body.length).toBeLessThan(bytes + 2048);
    for (const { body } of whole) expect(body.length).toBeGreaterThan(bytes / 2);
  });

  it.each([1, 3, 19])('has a digest that compression (zstd level %i) does not change', (level) => {
    const [chunk] = chunksWith({});
    if (chunk === undefined) throw new Error('no chunk');
    expect(openChunk(sealChunk(chunk, level)).header.digest).toBe(chunk.header.digest);
  });

  it('has its addresses in 32 bits, of the guest-physical pages that its blocks were at', () => {
    const [chunk] = chunksWith({});
    const { dictionary } = openChunk(sealChunk(chunk as EncodedChunk));
    const physical = new Map(trace.blocks.map((block) => [`${block.virt} ${block.user}`, block.phys]));
    for (let block = 0; block < dictionary.count; block++) {
      expect(dictionary.phys(block)).toBe(physical.get(`${dictionary.virt(block)} ${dictionary.user(block)}`));
    }
  });
});
