import { AppError, type Digest, digestOf, fromHex } from '@pvtrail/primitives';
import { describeBlock } from '@pvtrail/x86';
import { describe, expect, it } from 'vitest';
import {
  CHUNK_LIMITS,
  EVENT_KINDS,
  eventOf,
  type RawBlock,
  ReferenceEncoder,
  sealChunk,
  splitChunks,
  TraceVerifier,
  verifyChunk,
  verifySequence,
} from '../src/index.js';
import { recordSyntheticGuest } from '../src/testing/synthetic-guest.js';
import { TestBench } from './test-bench.js';

const GUEST: Digest = digestOf('guest');
const TEXT = 0xffffffff81000000n;

const codeOf = (task: () => unknown): string => {
  try {
    task();
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
  return 'accepted';
};

/** Blocks of the given bytes; `virt` counts from the kernel's text. */
const blocksOf = (...sources: readonly (readonly [virt: number, hex: string, user?: boolean])[]): RawBlock[] =>
  sources.map(([virt, hex, user = false], rawId) => {
    const bytes = fromHex(hex);
    const at = TEXT + BigInt(virt);
    const shape = describeBlock(bytes, at, 64);
    const { length: instructions } = shape.instructions;
    return {
      rawId,
      virt: at,
      phys: virt,
      physNextPage: 0,
      user,
      bits: 64,
      bytes,
      instructions,
      slots: shape.slots.length,
    };
  });

const columnOf = (values: number | readonly number[]): Uint32Array =>
  typeof values === 'number' ? new Uint32Array(values) : Uint32Array.from(values);

/** A count instead of values stands for so many zeros. */
const chunkOf = (
  blocks: readonly RawBlock[],
  events: readonly number[],
  addresses: number | readonly number[] = 0,
  extras: number | readonly number[] = 0,
): Uint8Array => {
  const encoder = new ReferenceEncoder(GUEST);
  const columns = {
    events: Uint32Array.from(events),
    addresses: columnOf(addresses),
    extras: columnOf(extras),
  };
  encoder.append(columns, blocks);
  return sealChunk(encoder.finish());
};

const partial = (retired: number): number => eventOf(EVENT_KINDS.partial, retired);
const exception = eventOf(EVENT_KINDS.exception, 14);

describe('continuity of control', () => {
  // nop; jne 5 | nop; rdmsr (goes on at 6) | nop; jmp 0 | what the branch jumps to
  const loop = blocksOf([0, '90 7502'], [3, '90 0f32'], [6, '90 ebf7'], [5, '90 0f32']);

  it.each([
    ['a jump goes to its target', [2, 0], 'accepted'],
    ['a jump goes nowhere else', [2, 1], 'trace/discontinuous'],
    ['a branch may fall through', [0, 1], 'accepted'],
    ['a branch may be taken', [0, 3], 'accepted'],
    ['a branch goes nowhere else', [0, 2], 'trace/discontinuous'],
    ['any other end falls through', [1, 2], 'accepted'],
    ['nothing comes after the exit', [0, eventOf(EVENT_KINDS.exit, 0), 1], 'trace/discontinuous'],
    ['a marker does not move control', [0, eventOf(EVENT_KINDS.marker, 2), 2], 'trace/discontinuous'],
    ['a partial block resumes where it stopped', [0, partial(0), 0], 'accepted'],
    ['a partial block resumes nowhere else', [0, partial(0), 1], 'trace/discontinuous'],
    ['a partial of the whole block is like the block', [0, partial(2), 1], 'accepted'],
  ])('%s', (_, events, verdict) => {
    expect(codeOf(() => verifyChunk(chunkOf(loop, events, 0)))).toBe(verdict);
  });

  it('an exception takes control anywhere', () => {
    const blocks = blocksOf([0, '90 ebfd'], [0x100, '90 90c3']);
    expect(codeOf(() => verifyChunk(chunkOf(blocks, [0, partial(0), exception, 1], 1, 1)))).toBe('accepted');
    expect(codeOf(() => verifyChunk(chunkOf(blocks, [0, exception, 1], 1, 1)))).toBe('accepted');
  });

  it('a return goes anywhere, and changes mode only where the architecture does', () => {
    const blocks = blocksOf([0, 'c3'], [0x100, '90 eb00'], [0x103, '90 c3', true]);
    expect(codeOf(() => verifyChunk(chunkOf(blocks, [0, 1], 1)))).toBe('accepted');
    expect(codeOf(() => verifyChunk(chunkOf(blocks, [1, 2], 1)))).toBe('trace/discontinuous');
  });

  it('a return goes to where its call said, unless something else was written there', () => {
    // call 0x100 | call 0x100 from elsewhere | ret at 0x100 | behind the first call | mov [rax], rbx; jmp 0x100
    const blocks = blocksOf(
      [0, 'e8fb000000'],
      [0x20, 'e8db000000'],
      [0x100, 'c3'],
      [5, 'ebf9'],
      [0x105, '488918 ebf6'],
      [0x25, 'eb f9'],
    );
    const STACK = 0x3ff8;
    const verdict = (events: readonly number[], addresses: readonly number[], extras: readonly number[] = []) =>
      codeOf(() => verifyChunk(chunkOf(blocks, events, addresses, extras)));
    expect(verdict([0, 2, 3], [STACK, STACK])).toBe('accepted');
    expect(verdict([0, 2, 5], [STACK, STACK])).toBe('trace/discontinuous');
    expect(verdict([1, 2, 5], [STACK, STACK])).toBe('accepted');
    expect(verdict([0, 2, 5], [STACK, STACK - 8])).toBe('accepted');
    const exchange = [0, exception, 4, 2];
    expect(verdict([...exchange, 3], [STACK, 0x2000, STACK], [0x9000])).toBe('accepted');
    expect(verdict([...exchange, 5], [STACK, 0x2000, STACK], [0x9000])).toBe('trace/discontinuous');
    expect(verdict([...exchange, 5], [STACK, STACK, STACK], [0x9000])).toBe('accepted');
    expect(verdict([...exchange, 5], [STACK, 0x2000, STACK], [STACK + 8])).toBe('accepted');
  });

  it('an undefined instruction never retires', () => {
    const blocks = blocksOf([0, '90 0f0b'], [3, '90 c3']);
    expect(codeOf(() => verifyChunk(chunkOf(blocks, [0, 1], 1)))).toBe('trace/discontinuous');
    expect(codeOf(() => verifyChunk(chunkOf(blocks, [0, partial(1), exception, 1], 1, 1)))).toBe('accepted');
  });

  it('a software interrupt needs its exception', () => {
    const blocks = blocksOf([0, 'cd80'], [2, '90 c3']);
    expect(codeOf(() => verifyChunk(chunkOf(blocks, [0, 1], 1)))).toBe('trace/discontinuous');
    expect(codeOf(() => verifyChunk(chunkOf(blocks, [0, exception, 1], 1, 1)))).toBe('accepted');
  });

  it('names the place and both addresses', () => {
    const blocks = blocksOf([0, '90 ebfd'], [0x100, '90c3']);
    expect(() => verifyChunk(chunkOf(blocks, [0, 1], 1))).toThrow(
      'chunk 0, event 1: after the block at 0xffffffff81000000 comes 0xffffffff81000000, not 0xffffffff81000100',
    );
  });
});

describe('a dictionary', () => {
  it('holds whole blocks with their own slots', () => {
    const [block] = blocksOf([0, '53 90 c3']);
    if (block === undefined) throw new Error('no block');
    expect(codeOf(() => verifyChunk(chunkOf([block], [0], 2)))).toBe('accepted');
    expect(codeOf(() => verifyChunk(chunkOf([{ ...block, slots: 1 }], [0], 1)))).toBe('trace/corrupt-chunk');
    expect(codeOf(() => verifyChunk(chunkOf([{ ...block, instructions: 2 }], [0], 2)))).toBe('trace/corrupt-chunk');
    expect(codeOf(() => verifyChunk(chunkOf([{ ...block, bytes: fromHex('53 90 c3 90') }], [0], 2)))).toBe(
      'trace/corrupt-chunk',
    );
  });
});

describe('a sequence of chunks', () => {
  const trace = recordSyntheticGuest({ seed: 5, instructions: 60_000, faultEvery: 100 });
  const encoder = new ReferenceEncoder(GUEST, { ...CHUNK_LIMITS, instructions: 10_000 });
  const chunks = [...encoder.append(trace.columns, trace.blocks), encoder.finish()].map((chunk) => sealChunk(chunk));
  const without = (index: number): Uint8Array[] => chunks.filter((_, at) => at !== index);

  it('is one trace', () => {
    expect(verifySequence(chunks)).toEqual({
      guest: GUEST,
      chunks: chunks.length,
      firstSequence: 0,
      instructions: trace.instructions,
      kernelInstructions: expect.any(Number),
      executions: trace.columns.events.filter((event) => event < 0x40000000).length,
      addresses: trace.columns.addresses.length,
      complete: true,
    });
  });

  it('may begin later, and end earlier', () => {
    expect(verifySequence(chunks.slice(2, 4))).toMatchObject({ chunks: 2, firstSequence: 2, complete: false });
  });

  it('has no gap, no repetition and no other order', () => {
    expect(codeOf(() => verifySequence(without(2)))).toBe('trace/discontinuous');
    expect(codeOf(() => verifySequence([...chunks.slice(0, 2), ...chunks.slice(1)]))).toBe('trace/discontinuous');
    expect(codeOf(() => verifySequence([...chunks].reverse()))).toBe('trace/discontinuous');
    expect(codeOf(() => verifySequence([]))).toBe('trace/truncated-chunk');
  });

  it('belongs to one guest', () => {
    const other = new ReferenceEncoder(digestOf('other'), { ...CHUNK_LIMITS, instructions: 10_000 });
    const others = [...other.append(trace.columns, trace.blocks), other.finish()].map((chunk) => sealChunk(chunk));
    expect(codeOf(() => verifySequence([...chunks.slice(0, 1), ...others.slice(1)]))).toBe('trace/discontinuous');
  });

  it('verifies the same with the kernel as decoder', () => {
    const decoder = new TestBench().decoder();
    const verifier = new TraceVerifier((chunk) => decoder.decode(chunk));
    for (const chunk of chunks) verifier.add(chunk);
    expect(verifier.summary).toEqual(verifySequence(chunks));
  });

  it('can be kept in one file', () => {
    const file = Buffer.concat(chunks);
    expect(splitChunks(file)).toHaveLength(chunks.length);
    expect(verifySequence(splitChunks(file))).toEqual(verifySequence(chunks));
    expect(codeOf(() => splitChunks(file.subarray(0, file.length - 1)))).toBe('trace/truncated-chunk');
  });
});
