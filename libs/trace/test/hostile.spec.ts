import { AppError, digestOf, SeededRandom } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { writeHeader } from '../src/header.js';
import {
  CHUNK_LIMITS,
  type ChunkHeader,
  chunkDigest,
  decodeReference,
  type EncodedChunk,
  HEADER_BYTES,
  openChunk,
  openEncoded,
  ReferenceEncoder,
  sealChunk,
  verifyChunk,
} from '../src/index.js';
import { recordSyntheticGuest } from '../src/testing/synthetic-guest.js';
import { TestBench } from './test-bench.js';

const trace = recordSyntheticGuest({ seed: 3, functions: 30, instructions: 6_000, faultEvery: 40 });
const encoder = new ReferenceEncoder(digestOf('guest'), { ...CHUNK_LIMITS, instructions: 3_000 });
const [first, second] = [...encoder.append(trace.columns, trace.blocks), encoder.finish()];
if (first === undefined || second === undefined) throw new Error('the trace is too short');
const file = sealChunk(first);
const bench = new TestBench();

const CODES = [
  'trace/corrupt-chunk',
  'trace/truncated-chunk',
  'trace/unsupported-version',
  'trace/too-large',
  'trace/discontinuous',
];

/** Runs a task that must succeed or fail with an expected code. */
const outcome = (task: () => unknown): string => {
  try {
    task();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(CODES).toContain(error.code);
    return error.code;
  }
};

/** A chunk whose digest is right though its content is not: what an attacker would send. */
const resealed = ({ header, body }: EncodedChunk): EncodedChunk => ({
  header: { ...header, digest: chunkDigest(header, body) },
  body,
});

const flipBit = (bytes: Uint8Array, random: SeededRandom): Uint8Array => {
  const flipped = Uint8Array.from(bytes);
  const at = random.below(flipped.length);
  flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
  return flipped;
};

describe('a damaged chunk file', () => {
  it('is refused after a bit flip, or was flipped where zstd does not look and still holds the same', () => {
    const random = new SeededRandom(11);
    let refused = 0;
    for (let round = 0; round < 400; round++) {
      const flipped = flipBit(file, random);
      if (outcome(() => openChunk(flipped)) === 'accepted')
        expect(digestOf(openChunk(flipped).body)).toBe(digestOf(first.body));
      else refused++;
    }
    expect(refused).toBeGreaterThan(390);
  });

  it('is refused after any flip in its header', () => {
    for (let bit = 0; bit < HEADER_BYTES * 8; bit++) {
      const flipped = Uint8Array.from(file);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(outcome(() => openChunk(flipped))).not.toBe('accepted');
    }
  });

  it('is refused when it is cut off anywhere', () => {
    for (let length = 0; length < file.length; length += length < 300 ? 1 : 97) {
      expect(outcome(() => openChunk(file.subarray(0, length)))).toBe('trace/truncated-chunk');
    }
  });

  it('is refused when bytes follow it', () => {
    expect(outcome(() => openChunk(Buffer.concat([file, Buffer.of(0)])))).toBe('trace/corrupt-chunk');
  });

  it('is refused when the body of another chunk is spliced in', () => {
    const spliced = { header: first.header, body: second.body };
    expect(outcome(() => openChunk(sealChunk(spliced)))).toBe('trace/corrupt-chunk');
  });
});

describe('a chunk that declares too much', () => {
  const withField = (field: keyof ChunkHeader, value: number): Uint8Array =>
    Buffer.concat([
      writeHeader({ ...first.header, [field]: value }, file.length - HEADER_BYTES),
      file.subarray(HEADER_BYTES),
    ]);

  it.each(['rawEvents', 'addressCount', 'extraCount', 'blocks', 'slots'] as const)('is refused for its %s', (field) => {
    expect(outcome(() => openChunk(withField(field, 0xffffffff)))).toBe('trace/too-large');
  });

  it('is refused for the size of its body', () => {
    const columnBytes = { ...first.header.columnBytes, code: 0x7fffffff };
    const bytes = Buffer.concat([writeHeader({ ...first.header, columnBytes }, 1), Buffer.of(0)]);
    expect(outcome(() => openChunk(bytes))).toBe('trace/too-large');
  });

  it('is refused when its frame holds more than the header says', () => {
    const longer = sealChunk({ header: first.header, body: new Uint8Array(64 * 1024 * 1024) });
    expect(outcome(() => openChunk(longer))).toBe('trace/corrupt-chunk');
  });
});

describe('a frame that asks for a window', () => {
  /** A zstd frame of one raw block without a declared size (RFC 8878, 3.1.1). */
  const framed = (windowLog: number): Uint8Array => {
    const block = (first.body.length << 3) | 1;
    const frame = Buffer.concat([
      Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, block & 0xff, (block >> 8) & 0xff, block >> 16),
      first.body,
    ]);
    return Buffer.concat([writeHeader(first.header, frame.length), frame]);
  };

  it.each([
    [21, 'accepted'],
    [22, 'trace/corrupt-chunk'],
    [31, 'trace/corrupt-chunk'],
  ])('of 2^%d bytes is %s', (windowLog, verdict) => {
    expect(outcome(() => openChunk(framed(windowLog)))).toBe(verdict);
  });
});

describe('a forged chunk with the right digest', () => {
  it('decodes to the same columns, or is refused, by both decoders', () => {
    const random = new SeededRandom(17);
    let refused = 0;
    for (let round = 0; round < 600; round++) {
      const forged = resealed({ header: first.header, body: flipBit(first.body, random) });
      const results = [decodeReference, bench.decoder().decode.bind(bench.decoder())].map((decode) => {
        let text = '';
        const verdict = outcome(() => {
          const { events, addresses, extras } = decode(openEncoded(forged));
          text = `${events} ${addresses} ${extras}`;
        });
        return { verdict, text };
      });
      if (results[0]?.verdict !== 'accepted') refused++;
      // The kernel compares the number of instructions too; verification does it for the other.
      if (results[0]?.verdict === results[1]?.verdict) expect(results[1]).toEqual(results[0]);
      else expect(results[1]?.verdict).toBe('trace/corrupt-chunk');
    }
    expect(refused).toBeGreaterThan(100);
  });

  it('never upsets verification', () => {
    const random = new SeededRandom(23);
    for (let round = 0; round < 150; round++) {
      outcome(() => verifyChunk(sealChunk(resealed({ header: first.header, body: flipBit(first.body, random) }))));
    }
  });

  it('never upsets verification when columns of two chunks are mixed', () => {
    const random = new SeededRandom(29);
    for (let round = 0; round < 60; round++) {
      const at = random.below(first.body.length);
      const body = Buffer.concat([first.body.subarray(0, at), second.body.subarray(at)]).subarray(0, first.body.length);
      const padded = Buffer.concat([body, Buffer.alloc(first.body.length - body.length)]);
      outcome(() => verifyChunk(sealChunk(resealed({ header: first.header, body: padded }))));
    }
  });
});
