import { describeBlock } from '@pvtrail/x86';
import { BLOCK_FLAGS, type DictionaryEntry } from './dictionary.js';
import type { RawBlock } from './raw-columns.js';

/** What an encoder knows about one raw block. */
export interface KnownBlock extends DictionaryEntry {
  readonly block: RawBlock;
}

const isRep = (block: RawBlock): boolean =>
  block.instructions === 1 &&
  block.slots > 0 &&
  describeBlock(block.bytes, block.virt, block.bits).slots.some((slot) => slot.repeated);

const known = (block: RawBlock): KnownBlock => ({
  block,
  virtLo: Number(block.virt & 0xffffffffn),
  virtHi: Number((block.virt >> 32n) & 0xffffffffn),
  phys: block.phys,
  physNextPage: block.physNextPage,
  flags:
    (block.user ? BLOCK_FLAGS.user : 0) |
    (block.bits === 32 ? BLOCK_FLAGS.bits32 : 0) |
    (isRep(block) ? BLOCK_FLAGS.rep : 0),
  instructions: block.instructions,
  slots: block.slots,
  bytes: block.bytes.slice(),
});

/** The raw blocks met so far, with what has to be found out about each only once. */
export class RawBlockTable {
  readonly entries: KnownBlock[] = [];
  readonly #slotsBefore = new Map<number, readonly number[]>();

  /** Takes the blocks that are new since the last call. */
  update(blocks: readonly RawBlock[]): void {
    for (let id = this.entries.length; id < blocks.length; id++) {
      const block = blocks[id];
      if (block === undefined || block.rawId !== id) throw new RangeError(`raw block ${id} has another id`);
      this.entries.push(known(block));
    }
  }

  get(rawId: number): KnownBlock {
    const entry = this.entries[rawId];
    if (entry === undefined) throw new RangeError(`raw block ${rawId} is unknown`);
    return entry;
  }

  /** Number of reference slots of a block's first instructions. */
  slotsBefore(rawId: number, instructions: number): number {
    let counts = this.#slotsBefore.get(rawId);
    if (counts === undefined) {
      const { block } = this.get(rawId);
      const shape = describeBlock(block.bytes, block.virt, block.bits);
      counts = Array.from(
        { length: shape.instructions.length + 1 },
        (_, limit) => shape.slots.filter((slot) => slot.instruction < limit).length,
      );
      this.#slotsBefore.set(rawId, counts);
    }
    return counts[instructions] ?? counts.at(-1) ?? 0;
  }
}
