import { BLOCK_FLAGS, type ChunkDictionary, type DictionaryColumns } from '@pvtrail/trace';
import type { BlockEndKind, BlockShape } from '@pvtrail/x86';
import type { Arena } from './arena.js';
import { type BlockDescriptions, notThisBlock } from './block-descriptions.js';
import { type InstructionProfile, instructionAt, type TraceBlock } from './block-profile.js';
import type { Layout } from './kernel.js';

/** A block known to the simulator: what it is, what it means, and where the kernel counts it. */
export interface KnownBlock {
  readonly block: TraceBlock;
  readonly virtLo: number;
  readonly virtHi: number;
  readonly shape: BlockShape;
  readonly profile: readonly InstructionProfile[];
  readonly hot: number;
  readonly cold: number;
  readonly partials: number;
  /** instructions of the block whose bytes are marked as executed */
  covered: number;
  /** the block behind this one in the dictionary that named it last: most dictionaries of a guest repeat the order */
  follower: KnownBlock | undefined;
}

const PAGE_BYTES = 4096;
const SLAB_RECORDS = 256;
const INLINE_SLOT_COUNT = 14;

/** Every distinct block seen so far, once, with its records in the kernel's memory (assembly/layout.ts). */
export class BlockTable {
  readonly blocks: KnownBlock[] = [];
  readonly #arena: Arena;
  readonly #layout: Layout;
  readonly #lineBytes: number;
  readonly #descriptions: BlockDescriptions;
  readonly #byPhys = new Map<number, KnownBlock[]>();
  readonly #byHot = new Map<number, KnownBlock>();
  #freeHot = 0;
  #freeHotRecords = 0;

  constructor(arena: Arena, layout: Layout, lineBytes: number, descriptions: BlockDescriptions) {
    this.#arena = arena;
    this.#layout = layout;
    this.#lineBytes = lineBytes;
    this.#descriptions = descriptions;
  }

  /**
   * The hot records of a dictionary's blocks, in its order; new blocks are added.
   * @throws AppError `trace/corrupt-chunk` when the bytes of a block are no whole block
   */
  internAll(dictionary: ChunkDictionary): Uint32Array {
    const { columns } = dictionary;
    const records = new Uint32Array(columns.count);
    let before: KnownBlock | undefined;
    for (let i = 0; i < columns.count; i++) {
      const known = this.#findBehind(before, columns, i) ?? this.#addEntry(dictionary, i);
      if (before !== undefined) before.follower = known;
      records[i] = known.hot;
      before = known;
    }
    return records;
  }

  /** The one record of this block, made when it is new. @throws as `internAll` */
  intern(block: TraceBlock): KnownBlock {
    const known = this.#byPhys.get(block.phys)?.find((candidate) => isSame(candidate.block, block));
    return known ?? this.#add(block);
  }

  /** The first byte of the newest block at this address. */
  firstByteAt(virt: bigint): number | undefined {
    return this.blocks.findLast(({ block }) => block.virt === virt)?.block.bytes[0];
  }

  #findBehind(before: KnownBlock | undefined, columns: DictionaryColumns, i: number): KnownBlock | undefined {
    const follower = before?.follower;
    const follows = follower !== undefined && follower.block.phys === columns.phys[i] && isEntry(follower, columns, i);
    return follows ? follower : this.#find(columns, i);
  }

  #find(columns: DictionaryColumns, i: number): KnownBlock | undefined {
    const candidates = this.#byPhys.get(columns.phys[i] ?? 0);
    if (candidates === undefined) return undefined;
    for (const candidate of candidates) if (isEntry(candidate, columns, i)) return candidate;
    return undefined;
  }

  byHot(hot: number): KnownBlock | undefined {
    return this.#byHot.get(hot);
  }

  #addEntry(dictionary: ChunkDictionary, i: number): KnownBlock {
    const added = this.#add(blockOf(dictionary, i));
    const { slots, instructions } = added.shape;
    if (slots.length !== dictionary.slots(i) || instructions.length !== dictionary.instructions(i)) {
      throw notThisBlock(added.block);
    }
    return added;
  }

  #add(block: TraceBlock): KnownBlock {
    const added = this.#write(block);
    const sameAddress = this.#byPhys.get(block.phys);
    if (sameAddress === undefined) this.#byPhys.set(block.phys, [added]);
    else sameAddress.push(added);
    this.#byHot.set(added.hot, added);
    this.blocks.push(added);
    return added;
  }

  #write(block: TraceBlock): KnownBlock {
    const { shape, profile } = this.#descriptions.describe(block);
    const hot = this.#allocateHot();
    const cold = this.#arena.allocate(this.#layout.COLD_BYTES, 8);
    const partials = this.#arena.allocate(this.#layout.PARTIAL_ROW_BYTES * (shape.instructions.length + 1));
    const virtLo = lowHalf(block.virt);
    const virtHi = lowHalf(block.virt >> 32n);
    const known = { block, virtLo, virtHi, shape, profile, hot, cold, partials, covered: 0, follower: undefined };
    this.#writeHot(known, this.#writeSlots(known));
    this.#writeCold(known);
    this.#writePartials(known);
    return known;
  }

  #allocateHot(): number {
    if (this.#freeHotRecords === 0) {
      this.#freeHot = this.#arena.allocate(SLAB_RECORDS * this.#layout.HOT_BYTES, 64);
      this.#freeHotRecords = SLAB_RECORDS;
    }
    this.#freeHotRecords--;
    const hot = this.#freeHot;
    this.#freeHot += this.#layout.HOT_BYTES;
    return hot;
  }

  /** Writes the slot list, into the hot record when it fits; returns its offset. */
  #writeSlots({ shape, hot }: KnownBlock): number {
    const { INLINE_SLOTS, READ, WRITE } = this.#layout;
    const { slots } = shape;
    const offset = slots.length <= INLINE_SLOT_COUNT ? hot + INLINE_SLOTS : this.#arena.allocate(2 * slots.length);
    const list = new Uint16Array(this.#arena.memory.buffer, offset, slots.length);
    for (const [i, { direction, widthBytes }] of slots.entries()) {
      const use = (direction === 'write' ? 0 : READ) | (direction === 'read' ? 0 : WRITE);
      list[i] = use | (widthBytes << 2);
    }
    return offset;
  }

  #writeHot({ block, shape, profile, hot, cold }: KnownBlock, slots: number): void {
    const { layout, words } = { layout: this.#layout, words: this.#arena.words };
    const last = instructionAt(shape, shape.instructions.length - 1);
    const set = (field: number, value: number): void => {
      words[(hot + field) >> 2] = value;
    };
    set(layout.LINE, Math.floor(block.phys / this.#lineBytes));
    set(layout.START, lowHalf(block.virt));
    set(layout.END, lowHalf(block.virt + BigInt(shape.byteLength)));
    set(layout.BRANCH, lowHalf(block.virt + BigInt(last.offset)));
    set(layout.SLOTS, slots);
    set(layout.COLD, cold);
    set(
      layout.SHAPE,
      this.#linesOf(block, shape.byteLength) |
        (shape.slots.length << layout.SLOTS_SHIFT) |
        (layout[KIND_NAMES[shape.end.kind]] << layout.KIND_SHIFT) |
        this.#flagsOf(block, profile),
    );
  }

  #flagsOf(block: TraceBlock, profile: readonly InstructionProfile[]): number {
    const { REPEATED, TWO_PAGES, THUNK } = this.#layout;
    const [first] = profile;
    const thunk = first === undefined ? undefined : this.#descriptions.index.thunks[first.thunkIndex];
    return (
      (first?.repeated === true ? REPEATED : 0) |
      (block.physNextPage === 0 ? 0 : TWO_PAGES) |
      (thunk !== undefined && BigInt(thunk.address) === block.virt ? THUNK : 0)
    );
  }

  #writeCold({ block, shape, cold, partials }: KnownBlock): void {
    const { words } = this.#arena;
    const { LINES_IN_FIRST_PAGE, SECOND_PAGE_LINE, INSTRUCTIONS, PARTIALS } = this.#layout;
    words[(cold + LINES_IN_FIRST_PAGE) >> 2] = this.#linesOf(block, Math.min(shape.byteLength, bytesToPageEnd(block)));
    words[(cold + SECOND_PAGE_LINE) >> 2] = Math.floor(block.physNextPage / this.#lineBytes);
    words[(cold + INSTRUCTIONS) >> 2] = shape.instructions.length;
    words[(cold + PARTIALS) >> 2] = partials;
  }

  #writePartials({ block, shape, partials }: KnownBlock): void {
    const view = new DataView(this.#arena.memory.buffer);
    const { PARTIAL_BYTES, PARTIAL_SLOTS, PARTIAL_LINES, FAULTING_LINES, PARTIAL_ROW_BYTES } = this.#layout;
    for (let retired = 0; retired <= shape.instructions.length; retired++) {
      const row = partials + retired * PARTIAL_ROW_BYTES;
      const bytes = shape.instructions[retired]?.offset ?? shape.byteLength;
      const faultingBytes = bytes + (shape.instructions[retired]?.length ?? 0);
      const slots = shape.slots.filter(({ instruction }) => instruction < retired).length;
      view.setUint16(row + PARTIAL_BYTES, bytes, true);
      view.setUint16(row + PARTIAL_SLOTS, slots, true);
      view.setUint8(row + PARTIAL_LINES, this.#linesOf(block, bytes));
      view.setUint8(row + FAULTING_LINES, this.#linesOf(block, faultingBytes));
    }
  }

  /** Lines that the first `bytes` bytes of a block touch; a page boundary is a line boundary. */
  #linesOf({ phys }: TraceBlock, bytes: number): number {
    if (bytes === 0) return 0;
    const offset = phys % PAGE_BYTES;
    return Math.floor((offset + bytes - 1) / this.#lineBytes) - Math.floor(offset / this.#lineBytes) + 1;
  }
}

type KindName = 'FALL' | 'JUMP' | 'CONDITIONAL' | 'CALL' | 'INDIRECT_JUMP' | 'INDIRECT_CALL' | 'RETURN' | 'TRANSFER';

/** How the kernel treats a block's end: what is predicted, and whether the next fetch follows a taken transfer. */
const KIND_NAMES: Readonly<Record<BlockEndKind, KindName>> = {
  jump: 'JUMP',
  conditional: 'CONDITIONAL',
  call: 'CALL',
  'indirect-jump': 'INDIRECT_JUMP',
  'indirect-call': 'INDIRECT_CALL',
  return: 'RETURN',
  far: 'TRANSFER',
  'interrupt-return': 'TRANSFER',
  'system-call': 'TRANSFER',
  'system-return': 'TRANSFER',
  'software-interrupt': 'TRANSFER',
  undefined: 'TRANSFER',
  halt: 'FALL',
  system: 'FALL',
  rep: 'FALL',
  'before-rep': 'FALL',
  size: 'FALL',
  page: 'FALL',
  bytes: 'FALL',
};

const lowHalf = (virt: bigint): number => Number(virt & 0xffffffffn);
const bytesToPageEnd = ({ phys }: TraceBlock): number => PAGE_BYTES - (phys % PAGE_BYTES);

export const blockOf = (dictionary: ChunkDictionary, i: number): TraceBlock => ({
  virt: dictionary.virt(i),
  phys: dictionary.phys(i),
  physNextPage: dictionary.physNextPage(i),
  user: dictionary.user(i),
  bits: dictionary.bits(i),
  bytes: dictionary.bytes(i).slice(),
});

/** Compares without making a `TraceBlock`: every block of every chunk comes this way. The physical address is known to agree. */
const isEntry = ({ block, virtLo, virtHi }: KnownBlock, columns: DictionaryColumns, i: number): boolean => {
  const { bytes } = block;
  const flags = columns.flags[i] ?? 0;
  if (columns.virtLo[i] !== virtLo || columns.virtHi[i] !== virtHi) return false;
  if (columns.physNextPage[i] !== block.physNextPage || columns.byteLength[i] !== bytes.length) return false;
  if (((flags & BLOCK_FLAGS.user) !== 0) !== block.user) return false;
  if (((flags & BLOCK_FLAGS.bits32) !== 0) !== (block.bits === 32)) return false;
  const first = columns.byteOffset[i] ?? 0;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== columns.code[first + at]) return false;
  return true;
};

const isSame = (a: TraceBlock, b: TraceBlock): boolean =>
  a.virt === b.virt &&
  a.physNextPage === b.physNextPage &&
  a.user === b.user &&
  a.bits === b.bits &&
  a.bytes.length === b.bytes.length &&
  a.bytes.every((byte, i) => byte === b.bytes[i]);
