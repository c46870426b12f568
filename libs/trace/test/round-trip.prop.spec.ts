import { type Digest, digestOf, SeededRandom } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import {
  CHUNK_LIMITS,
  type ChunkLimits,
  CONTINUATION_BIT,
  decodeReference,
  type EncodedChunk,
  isBlockEvent,
  isEvent,
  openChunk,
  openEncoded,
  type RawColumns,
  ReferenceEncoder,
  sealChunk,
} from '../src/index.js';
import { recordSyntheticGuest, type SyntheticTrace } from '../src/testing/synthetic-guest.js';
import { TestBench } from './test-bench.js';

const GUEST: Digest = digestOf('guest');
const bench = new TestBench();

const SMALL: ChunkLimits = { instructions: 5_000, bytes: 6_000, slots: 400, addresses: 3_000 };

const encodeFast = (trace: SyntheticTrace, limits: ChunkLimits, pieces: readonly RawColumns[]): EncodedChunk[] => {
  const encoder = bench.encoder(GUEST, limits);
  const chunks = pieces.flatMap((piece) => encoder.append(bench.stage(piece), trace.blocks));
  return [...chunks, encoder.finish()];
};

const encodeReference = (trace: SyntheticTrace, limits: ChunkLimits): EncodedChunk[] => {
  const encoder = new ReferenceEncoder(GUEST, limits);
  return [...encoder.append(trace.columns, trace.blocks), encoder.finish()];
};

/** Raw events with the raw ids of their blocks in place of the chunk's own numbers. */
const withRawIds = (trace: SyntheticTrace, chunk: EncodedChunk, columns: RawColumns): number[] => {
  const { dictionary } = openEncoded(chunk);
  const rawIdOf = new Map(trace.blocks.map((block) => [`${block.virt} ${block.user}`, block.rawId]));
  const rawIds = Array.from({ length: dictionary.count }, (_, block) =>
    rawIdOf.get(`${dictionary.virt(block)} ${dictionary.user(block)}`),
  );
  return Array.from(columns.events, (event) => {
    if (isEvent(event)) return event;
    return ((rawIds[event & ~CONTINUATION_BIT] ?? -1) | (event & CONTINUATION_BIT)) >>> 0;
  });
};

/** Columns as text: a typed array's own comparison would look at all of its memory. */
const textOf = ({ events, addresses, extras }: RawColumns): string[] =>
  [events, addresses, extras].map((column) => column.join());

/** A chunk's header and, in its digest, its body. */
const identityOf = ({ header, body }: EncodedChunk): unknown => ({ ...header, body: digestOf(body) });

describe.each([1, 2, 3, 4, 5, 6])('a chunk of synthetic guest %i', (seed) => {
  const trace = recordSyntheticGuest({ seed, functions: 20 + 13 * seed, instructions: 40_000, faultEvery: 50 * seed });
  const chunks = encodeReference(trace, SMALL);

  it('is the same from both encoders', () => {
    expect(encodeFast(trace, SMALL, [trace.columns]).map(identityOf)).toEqual(chunks.map(identityOf));
    expect(chunks.length).toBeGreaterThan(5);
  });

  it('does not depend on how the raw columns were cut', () => {
    const pieces = bench.cut(trace, new SeededRandom(seed));
    expect(pieces.length).toBeGreaterThan(3);
    expect(encodeFast(trace, SMALL, pieces).map(identityOf)).toEqual(chunks.map(identityOf));
  });

  it('decodes to what was recorded, by both decoders', () => {
    const events: number[] = [];
    const addresses: number[] = [];
    const extras: number[] = [];
    for (const chunk of chunks) {
      const opened = openChunk(sealChunk(chunk));
      const columns = decodeReference(opened);
      expect(textOf(bench.decoder().decode(opened))).toEqual(textOf(columns));
      events.push(...withRawIds(trace, chunk, columns));
      addresses.push(...columns.addresses);
      extras.push(...columns.extras);
    }
    expect([events, addresses, extras].map(String)).toEqual(textOf(trace.columns));
  });

  it('counts what it holds', () => {
    const sum = (count: (chunk: EncodedChunk) => number): number =>
      chunks.reduce((all, chunk) => all + count(chunk), 0);
    expect(sum(({ header }) => header.instructions)).toBe(trace.instructions);
    expect(sum(({ header }) => header.executions)).toBe(trace.columns.events.filter(isBlockEvent).length);
    expect(sum(({ header }) => header.addressCount)).toBe(trace.columns.addresses.length);
    expect(sum(({ header }) => header.extraCount)).toBe(trace.columns.extras.length);
    expect(chunks.map(({ header }) => header.sequence)).toEqual(chunks.map((_, index) => index));
    expect(chunks.map(({ header }) => header.last)).toEqual(chunks.map((_, index) => index === chunks.length - 1));
    let before = 0;
    for (const { header } of chunks) {
      expect(header.firstInstruction).toBe(before);
      before += header.instructions;
    }
  });
});

describe('a chunk of the usual size', () => {
  it('is the same from both encoders and ends at the first block boundary behind a million instructions', () => {
    const trace = recordSyntheticGuest({ seed: 9, instructions: 1_500_000 });
    const chunks = encodeFast(trace, CHUNK_LIMITS, [trace.columns]);
    expect(chunks.map(identityOf)).toEqual(encodeReference(trace, CHUNK_LIMITS).map(identityOf));
    expect(chunks).toHaveLength(2);
    expect(chunks[0]?.header.instructions).toBeGreaterThanOrEqual(1_000_000);
    expect(chunks[0]?.header.instructions).toBeLessThan(1_000_064);
  });
});
