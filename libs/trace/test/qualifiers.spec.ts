import { digestOf, fromHex } from '@pvtrail/primitives';
import { describeBlock } from '@pvtrail/x86';
import { describe, expect, it } from 'vitest';
import {
  decodeReference,
  type EncodedChunk,
  EVENT_KINDS,
  eventOf,
  openEncoded,
  type RawBlock,
  type RawColumns,
  ReferenceEncoder,
  sealChunk,
  verifyChunk,
} from '../src/index.js';
import { TestBench } from './test-bench.js';

// mov [rdi], rax; mov [rsi], rbx; nop; ret: slots 0, 1 and 2
const BYTES = fromHex('48 89 07 48 89 1e 90 c3');
const VIRT = 0xffffffff81000000n;
const shape = describeBlock(BYTES, VIRT, 64);
const BLOCK: RawBlock = {
  rawId: 0,
  virt: VIRT,
  phys: 0x1000000,
  physNextPage: 0,
  user: false,
  bits: 64,
  bytes: BYTES,
  instructions: shape.instructions.length,
  slots: shape.slots.length,
};

const FIRST = 0x2ffc;
const SECOND_PAGE = 0x7000;
const FRAME = 0x9000;
const split = (slot: number): number => eventOf(EVENT_KINDS.split, slot);
const partial = (retired: number): number => eventOf(EVENT_KINDS.partial, retired);
const pageFault = eventOf(EVENT_KINDS.exception, 14);
const bench = new TestBench();

const encodeBoth = (columns: RawColumns): readonly EncodedChunk[] => {
  const encoder = bench.encoder(digestOf('guest'));
  encoder.append(bench.stage(columns), [BLOCK]);
  const reference = new ReferenceEncoder(digestOf('guest'));
  reference.append(columns, [BLOCK]);
  return [encoder.finish(), reference.finish()];
};

const columnsOf = (events: readonly number[], addresses: readonly number[], extras: readonly number[]): RawColumns => ({
  events: Uint32Array.from(events),
  addresses: Uint32Array.from(addresses),
  extras: Uint32Array.from(extras),
});

describe('a block whose first access crosses a page and whose second one faults', () => {
  const canonical = columnsOf([0, partial(1), split(0), pageFault], [FIRST], [SECOND_PAGE, FRAME]);
  const splitFirst = columnsOf([0, split(0), partial(1), pageFault], [FIRST], [SECOND_PAGE, FRAME]);

  it.each([
    ['the partial first', canonical],
    ['the split first', splitFirst],
  ])('is decoded with the partial first when it was recorded with %s', (_, recorded) => {
    for (const chunk of encodeBoth(recorded)) {
      const open = openEncoded(chunk);
      expect(decodeReference(open)).toEqual(canonical);
      expect(bench.decoder().decode(open)).toEqual(canonical);
      expect(chunk.header).toMatchObject({ instructions: 1, addressCount: 1, extraCount: 2, rawEvents: 4 });
      expect(verifyChunk(sealChunk(chunk)).instructions).toBe(1);
    }
  });
});

describe('a block whose page-crossing access faults itself', () => {
  it('has retired nothing, and neither address nor split', () => {
    const recorded = columnsOf([0, partial(0), pageFault], [], [FRAME]);
    for (const chunk of encodeBoth(recorded)) {
      expect(decodeReference(openEncoded(chunk))).toEqual(recorded);
      expect(verifyChunk(sealChunk(chunk)).instructions).toBe(0);
    }
  });
});
