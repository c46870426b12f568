import { BLOCK_FLAGS, ChunkDictionary } from '@pvtrail/trace';
import { describeBlock } from '@pvtrail/x86';
import type { TraceBlock } from '../src/block-profile.js';

const MASK32 = 0xffffffffn;

/** The dictionary that a chunk with these blocks would have. */
export const dictionaryOf = (blocks: readonly TraceBlock[]): ChunkDictionary => {
  const shapes = blocks.map(({ bytes, virt, bits }) => describeBlock(bytes, virt, bits));
  const flagsOf = ({ user, bits }: TraceBlock): number =>
    (user ? BLOCK_FLAGS.user : 0) | (bits === 32 ? BLOCK_FLAGS.bits32 : 0);
  const offsets = blocks.map((_block, i) => blocks.slice(0, i).reduce((sum, { bytes }) => sum + bytes.length, 0));
  return new ChunkDictionary({
    count: blocks.length,
    virtLo: Uint32Array.from(blocks, ({ virt }) => Number(virt & MASK32)),
    virtHi: Uint32Array.from(blocks, ({ virt }) => Number(virt >> 32n)),
    phys: Uint32Array.from(blocks, ({ phys }) => phys),
    physNextPage: Uint32Array.from(blocks, ({ physNextPage }) => physNextPage),
    flags: Uint8Array.from(
      blocks,
      (block, i) => flagsOf(block) | (shapes[i]?.end.kind === 'rep' ? BLOCK_FLAGS.rep : 0),
    ),
    instructions: Uint8Array.from(shapes, ({ instructions }) => instructions.length),
    slots: Uint16Array.from(shapes, ({ slots }) => slots.length),
    byteOffset: Uint32Array.from(offsets),
    byteLength: Uint16Array.from(blocks, ({ bytes }) => bytes.length),
    code: Uint8Array.from(blocks.flatMap(({ bytes }) => [...bytes])),
  });
};
