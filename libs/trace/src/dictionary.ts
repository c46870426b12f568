import { AppError, type GuestPhys, type GuestVirt, guestPhys, guestVirt } from '@pvtrail/primitives';
import { type BlockShape, describeBlock } from '@pvtrail/x86';
import { ByteReader, ByteWriter, unzigzag32, zigzag32 } from './bytes.js';
import { DECODER_LIMITS, MAX_BLOCK_BYTES, MAX_BLOCK_SLOTS } from './limits.js';

/*
 * An entry's flags:
 *   0 user mode · 1 32-bit code · 2 crosses into a page whose address follows · 3 a new distance virtual–physical follows · 4 rep
 */
export const BLOCK_FLAGS = { user: 1, bits32: 2, nextPage: 4, newOffset: 8, rep: 16 } as const;

const PAGE_MASK = 0xfff;

/** The columns of a dictionary; index = the block's number in the chunk, from 0. */
export interface DictionaryColumns {
  readonly count: number;
  readonly virtLo: Uint32Array;
  readonly virtHi: Uint32Array;
  readonly phys: Uint32Array;
  readonly physNextPage: Uint32Array;
  /** BLOCK_FLAGS user, bits32 and rep. */
  readonly flags: Uint8Array;
  readonly instructions: Uint8Array;
  readonly slots: Uint16Array;
  readonly byteOffset: Uint32Array;
  readonly byteLength: Uint16Array;
  readonly code: Uint8Array;
}

/** The blocks that a chunk uses, in the order of their first execution. */
export class ChunkDictionary {
  readonly columns: DictionaryColumns;

  constructor(columns: DictionaryColumns) {
    this.columns = columns;
  }

  get count(): number {
    return this.columns.count;
  }

  virt(block: number): GuestVirt {
    const { virtLo, virtHi } = this.columns;
    return guestVirt((BigInt(virtHi[block] ?? 0) << 32n) | BigInt(virtLo[block] ?? 0));
  }

  phys(block: number): GuestPhys {
    return guestPhys(this.columns.phys[block] ?? 0);
  }

  /** Guest-physical address of the second page of a block that crosses into it, else 0. */
  physNextPage(block: number): GuestPhys {
    return guestPhys(this.columns.physNextPage[block] ?? 0);
  }

  user(block: number): boolean {
    return ((this.columns.flags[block] ?? 0) & BLOCK_FLAGS.user) !== 0;
  }

  rep(block: number): boolean {
    return ((this.columns.flags[block] ?? 0) & BLOCK_FLAGS.rep) !== 0;
  }

  bits(block: number): 32 | 64 {
    return ((this.columns.flags[block] ?? 0) & BLOCK_FLAGS.bits32) !== 0 ? 32 : 64;
  }

  instructions(block: number): number {
    return this.columns.instructions[block] ?? 0;
  }

  slots(block: number): number {
    return this.columns.slots[block] ?? 0;
  }

  /** A view into the chunk's code. */
  bytes(block: number): Uint8Array {
    const { byteOffset, byteLength, code } = this.columns;
    const begin = byteOffset[block] ?? 0;
    return code.subarray(begin, begin + (byteLength[block] ?? 0));
  }

  /** Decoded anew at each call: about 2 µs an instruction. */
  shape(block: number): BlockShape {
    return describeBlock(this.bytes(block), this.virt(block), this.bits(block));
  }
}

/** One block as the writer takes it; `flags` are user, bits32 and rep. */
export interface DictionaryEntry {
  readonly virtLo: number;
  readonly virtHi: number;
  readonly phys: number;
  readonly physNextPage: number;
  readonly flags: number;
  readonly instructions: number;
  readonly slots: number;
  readonly bytes: Uint8Array;
}

/** Writes a chunk's dictionary: each entry against the one before. */
export class DictionaryWriter {
  readonly meta = new ByteWriter();
  readonly code = new ByteWriter();
  #nextLo = 0;
  #nextHi = 0;
  #offset = 0;

  clear(): void {
    this.meta.clear();
    this.code.clear();
    this.#nextLo = 0;
    this.#nextHi = 0;
    this.#offset = 0;
  }

  add(entry: DictionaryEntry): void {
    const offset = (entry.phys - entry.virtLo) >>> 0;
    const crosses = entry.physNextPage !== 0;
    const newOffset = offset !== this.#offset;
    this.meta.byte(entry.flags | (crosses ? BLOCK_FLAGS.nextPage : 0) | (newOffset ? BLOCK_FLAGS.newOffset : 0));
    this.#putVirt(entry);
    if (newOffset) this.meta.varint(zigzag32((offset - this.#offset) | 0));
    if (crosses) this.meta.varint(zigzag32((entry.physNextPage - ((entry.phys | PAGE_MASK) + 1)) | 0));
    this.meta.varint(entry.bytes.length);
    this.meta.varint(entry.slots);
    this.meta.byte(entry.instructions);
    this.code.append(entry.bytes);
    this.#offset = offset;
    const end = entry.virtLo + entry.bytes.length;
    this.#nextLo = end >>> 0;
    this.#nextHi = (entry.virtHi + (end > 0xffffffff ? 1 : 0)) >>> 0;
  }

  #putVirt(entry: DictionaryEntry): void {
    const step = (entry.virtLo - this.#nextLo) | 0;
    const near = Math.abs(entry.virtLo - this.#nextLo) < 0x8000000; // zigzag form below 2²⁸: the reader's short path
    if (entry.virtHi === this.#nextHi && near) {
      this.meta.varint(zigzag32(step));
      return;
    }
    const next = (BigInt(this.#nextHi) << 32n) | BigInt(this.#nextLo);
    this.meta.signed64(((BigInt(entry.virtHi) << 32n) | BigInt(entry.virtLo)) - next);
  }
}

const emptyColumns = (count: number, code: Uint8Array): DictionaryColumns => ({
  count,
  virtLo: new Uint32Array(count),
  virtHi: new Uint32Array(count),
  phys: new Uint32Array(count),
  physNextPage: new Uint32Array(count),
  flags: new Uint8Array(count),
  instructions: new Uint8Array(count),
  slots: new Uint16Array(count),
  byteOffset: new Uint32Array(count),
  byteLength: new Uint16Array(count),
  code,
});

const corrupt = (message: string): AppError => new AppError('trace/corrupt-chunk', message);

const requireSane = (block: number, length: number, slots: number, instructions: number): void => {
  if (length === 0 || length > MAX_BLOCK_BYTES) throw corrupt(`block ${block} has ${length} bytes`);
  if (slots > MAX_BLOCK_SLOTS) throw corrupt(`block ${block} has ${slots} reference slots`);
  if (instructions === 0 || instructions > 64) throw corrupt(`block ${block} has ${instructions} instructions`);
};

/**
 * Reads a dictionary of `count` blocks.
 * @throws AppError `trace/corrupt-chunk` when the columns do not hold exactly that
 */
export const readDictionary = (meta: Uint8Array, code: Uint8Array, count: number): ChunkDictionary => {
  if (count > DECODER_LIMITS.blocks) throw corrupt(`a dictionary of ${count} blocks is too large`);
  const columns = emptyColumns(count, code);
  const reader = new ByteReader(meta, 'dictionary');
  const step = { lo: 0, hi: 0 };
  let lo = 0;
  let hi = 0;
  let offset = 0;
  let codeAt = 0;
  for (let block = 0; block < count; block++) {
    const flags = reader.byte();
    if (flags > 31) throw corrupt(`block ${block} has unknown flags`);
    reader.signed64(step);
    const carry = lo + step.lo > 0xffffffff ? 1 : 0;
    lo = (lo + step.lo) >>> 0;
    hi = (hi + step.hi + carry) >>> 0;
    if ((flags & BLOCK_FLAGS.newOffset) !== 0) offset = (offset + unzigzag32(reader.varint())) >>> 0;
    const phys = (lo + offset) >>> 0;
    columns.virtLo[block] = lo;
    columns.virtHi[block] = hi;
    columns.phys[block] = phys;
    columns.flags[block] = flags & (BLOCK_FLAGS.user | BLOCK_FLAGS.bits32 | BLOCK_FLAGS.rep);
    if ((flags & BLOCK_FLAGS.nextPage) !== 0) {
      columns.physNextPage[block] = ((phys | PAGE_MASK) + 1 + unzigzag32(reader.varint())) >>> 0;
    }
    const length = reader.varint();
    const slots = reader.varint();
    const instructions = reader.byte();
    requireSane(block, length, slots, instructions);
    columns.byteOffset[block] = codeAt;
    columns.byteLength[block] = length;
    columns.slots[block] = slots;
    columns.instructions[block] = instructions;
    codeAt += length;
    const end = lo + length;
    lo = end >>> 0;
    hi = (hi + (end > 0xffffffff ? 1 : 0)) >>> 0;
  }
  if (!reader.atEnd || codeAt !== code.length) throw corrupt('the dictionary does not fill its columns');
  return new ChunkDictionary(columns);
};
