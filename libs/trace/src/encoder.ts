import type { Digest } from '@pvtrail/primitives';
import { chunkDigest, type EncodedChunk } from './chunk.js';
import { BLOCK_FLAGS } from './dictionary.js';
import { type ChunkHeader, COLUMNS, type ColumnName, FORMAT_VERSION } from './header.js';
import { type EncoderKernel, instantiateKernel } from './kernel.js';
import {
  CHUNK_LIMITS,
  type ChunkLimits,
  DECODER_LIMITS,
  DICTIONARY_CHARGE_BYTES,
  MAX_BLOCK_BYTES,
  MAX_BLOCK_SLOTS,
} from './limits.js';
import { type KnownBlock, RawBlockTable } from './raw-block-table.js';
import type { RawBlock, RawColumns } from './raw-columns.js';

/** Room that an encoder needs in the memory where the raw columns are. */
export const ENCODER_WORK_BYTES = 16 * 1024 * 1024;

export interface EncoderOptions {
  /** assembly/ compiled (dist/kernel.wasm). */
  readonly kernel: WebAssembly.Module;
  /** The memory that holds the raw columns, usually the emulator's. */
  readonly memory: WebAssembly.Memory;
  /** Byte offset of ENCODER_WORK_BYTES that nobody else uses; a multiple of 16. */
  readonly workBase: number;
  readonly guest: Digest;
  readonly limits?: ChunkLimits;
}

// The kernel's tables of raw blocks (assembly/encode.ts): what every execution needs, and what only the dictionary does.
const ENTRY_BYTES = 16;
const DETAIL_BYTES = 32;
/** Code of a block, on average over all; blocks of guest kernels have about 25 bytes. */
const CODE_BYTES = 48;
const FLAG_KERNEL = 1;
const FLAG_REP = 2;

// A block boundary lets a column overshoot by at most one block: 512 slots of 10 bytes, and a few varints.
const COLUMN_BYTES = CHUNK_LIMITS.bytes + MAX_BLOCK_SLOTS * 10 + MAX_BLOCK_BYTES;
/** An entry has at most 1 + 10 + 5 + 5 + 2 + 2 + 1 bytes. */
const DICTIONARY_ENTRY_BYTES = 26;
const SLOTS = CHUNK_LIMITS.slots + 2 * MAX_BLOCK_SLOTS;
const LOCALS = DECODER_LIMITS.blocks + 1;

const STATUS = { done: 0, full: 1 } as const;
const MALFORMED = [
  '',
  '',
  'an event names an unknown block',
  'addresses are missing',
  'extras are missing',
  'an event is out of place',
];

const align = (value: number): number => (value + 15) & ~15;

/** The room for raw blocks in the work area, and where their code lies. */
interface BlockRoom {
  readonly capacity: number;
  readonly code: number;
  readonly codeEnd: number;
}

const layOut = (kernel: EncoderKernel, base: number): BlockRoom => {
  let at = base;
  const take = (bytes: number): number => {
    const begin = at;
    at = align(at + bytes);
    return begin;
  };
  kernel.encSuccessors.value = take(2 << 15);
  kernel.encLastSuccessors.value = take(2 * LOCALS);
  kernel.encRepCounts.value = take(4 * LOCALS);
  kernel.encLocals.value = take(4 * LOCALS);
  kernel.encHot.value = take(8 * SLOTS);
  kernel.encCold.value = take(16 * SLOTS);
  kernel.encDictionary.value = take(DICTIONARY_ENTRY_BYTES * LOCALS);
  kernel.encCode.value = take(COLUMN_BYTES);
  kernel.encSequence.value = take(COLUMN_BYTES);
  kernel.encAddresses.value = take(COLUMN_BYTES);
  kernel.encEvents.value = take(COLUMN_BYTES);
  kernel.encCounts.value = take(COLUMN_BYTES);
  const end = base + ENCODER_WORK_BYTES;
  const capacity = Math.floor((end - at) / (ENTRY_BYTES + DETAIL_BYTES + CODE_BYTES));
  kernel.encBlocks.value = take(ENTRY_BYTES * capacity);
  kernel.encDetails.value = take(DETAIL_BYTES * capacity);
  return { capacity, code: at, codeEnd: end };
};

/**
 * Turns raw columns (ADR 002) into chunks (docs/trace-format.md), in the memory where the columns are.
 *
 * The same events give the same chunks however they are cut into columns, as long as a block event is followed by its qualifiers
 * (partial, split) in the same columns.
 */
export class TraceEncoder {
  readonly #kernel: EncoderKernel;
  readonly #memory: WebAssembly.Memory;
  readonly #guest: Digest;
  readonly #blocks = new RawBlockTable();
  readonly #room: BlockRoom;
  #codeAt: number;
  #sequence = 0;
  #firstInstruction = 0;

  constructor(options: EncoderOptions) {
    this.#memory = options.memory;
    this.#guest = options.guest;
    this.#kernel = instantiateKernel(options.kernel, options.memory, (rawId, instructions) =>
      this.#blocks.slotsBefore(rawId, instructions),
    );
    this.#room = layOut(this.#kernel, options.workBase);
    this.#codeAt = this.#room.code;
    const limits = options.limits ?? CHUNK_LIMITS;
    this.#kernel.encMaxInstructions.value = limits.instructions;
    this.#kernel.encMaxBytes.value = limits.bytes;
    this.#kernel.encMaxSlots.value = limits.slots;
    this.#kernel.encMaxAddresses.value = limits.addresses;
    this.#kernel.encBegin();
  }

  /** Chunks finished so far. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Encodes one drain. `columns` are views into the encoder's memory; `blocks` holds every raw block by id.
   * Returns the chunks that became full, in order.
   * @throws RangeError when the columns contradict ADR 002: a fault of the host
   */
  append(columns: RawColumns, blocks: readonly RawBlock[]): EncodedChunk[] {
    this.#requireInMemory(columns);
    this.#admitNew(blocks);
    const kernel = this.#kernel;
    const end = (column: Uint32Array): number => column.byteOffset + column.byteLength;
    kernel.encEventAt.value = columns.events.byteOffset;
    kernel.encAddressAt.value = columns.addresses.byteOffset;
    kernel.encExtraAt.value = columns.extras.byteOffset;
    const chunks: EncodedChunk[] = [];
    for (;;) {
      const status = kernel.encEncode(end(columns.events), end(columns.addresses), end(columns.extras));
      if (status === STATUS.full) chunks.push(this.#endChunk(false));
      else if (status === STATUS.done) break;
      else throw new RangeError(`raw columns are malformed: ${MALFORMED[status]}`);
    }
    this.#requireConsumed(columns);
    return chunks;
  }

  /** Ends the trace: the last chunk, which may be short, but never empty unless the trace is. */
  finish(): EncodedChunk {
    return this.#endChunk(true);
  }

  #requireInMemory(columns: RawColumns): void {
    if (Object.values(columns).some((column: Uint32Array) => column.buffer !== this.#memory.buffer)) {
      throw new RangeError("raw columns must lie in the encoder's memory");
    }
  }

  #requireConsumed(columns: RawColumns): void {
    const { encAddressAt, encExtraAt } = this.#kernel;
    const left = (column: Uint32Array, at: number): number => column.byteOffset + column.byteLength - at;
    if (left(columns.addresses, encAddressAt.value) !== 0 || left(columns.extras, encExtraAt.value) !== 0) {
      throw new RangeError('raw columns are malformed: addresses or extras belong to no event');
    }
  }

  #admitNew(blocks: readonly RawBlock[]): void {
    const { entries } = this.#blocks;
    if (entries.length === blocks.length) return;
    const first = entries.length;
    this.#blocks.update(blocks);
    const view = new DataView(this.#memory.buffer);
    for (let id = first; id < entries.length; id++) this.#admit(this.#blocks.get(id), view);
    this.#kernel.encBlockCount.value = entries.length;
  }

  #admit({ block, flags, slots, instructions, bytes, phys, physNextPage }: KnownBlock, view: DataView): void {
    const { capacity, codeEnd } = this.#room;
    if (block.rawId >= capacity || this.#codeAt + bytes.length > codeEnd) {
      throw new RangeError(`${block.rawId + 1} raw blocks are more than the work area holds (about ${capacity})`);
    }
    const entry = this.#kernel.encBlocks.value + block.rawId * ENTRY_BYTES;
    const kernelFlag = (flags & BLOCK_FLAGS.user) === 0 ? FLAG_KERNEL : 0;
    view.setUint16(entry, 0, true);
    view.setUint16(entry + 2, slots, true);
    view.setUint16(entry + 8, instructions, true);
    view.setUint16(entry + 10, kernelFlag | ((flags & BLOCK_FLAGS.rep) === 0 ? 0 : FLAG_REP), true);
    view.setUint32(entry + 12, DICTIONARY_CHARGE_BYTES + bytes.length, true);
    const details = this.#kernel.encDetails.value + block.rawId * DETAIL_BYTES;
    view.setBigUint64(details, block.virt, true);
    view.setUint32(details + 8, phys, true);
    view.setUint32(details + 12, physNextPage, true);
    view.setUint32(details + 16, this.#codeAt, true);
    view.setUint16(details + 20, bytes.length, true);
    view.setUint16(details + 22, flags, true);
    new Uint8Array(this.#memory.buffer, this.#codeAt).set(bytes);
    this.#codeAt += bytes.length;
  }

  #endChunk(last: boolean): EncodedChunk {
    this.#kernel.encFinish();
    const columns = this.#columns();
    const body = Buffer.concat(COLUMNS.map((name) => columns[name]));
    const rest = this.#header(last, columns);
    const header: ChunkHeader = { ...rest, digest: chunkDigest(rest, body) };
    this.#sequence++;
    this.#firstInstruction += header.instructions;
    this.#kernel.encBegin();
    return { header, body };
  }

  #columns(): Readonly<Record<ColumnName, Uint8Array>> {
    const kernel = this.#kernel;
    const column = (begin: WebAssembly.Global, end: WebAssembly.Global): Uint8Array =>
      new Uint8Array(this.#memory.buffer, begin.value, end.value - begin.value);
    return {
      dictionary: column(kernel.encDictionary, kernel.encDictionaryEnd),
      code: column(kernel.encCode, kernel.encCodeEnd),
      sequence: column(kernel.encSequence, kernel.encSequenceEnd),
      addresses: column(kernel.encAddresses, kernel.encAddressesEnd),
      events: column(kernel.encEvents, kernel.encEventsEnd),
      counts: column(kernel.encCounts, kernel.encCountsEnd),
    };
  }

  #header(last: boolean, columns: Readonly<Record<ColumnName, Uint8Array>>): Omit<ChunkHeader, 'digest'> {
    const kernel = this.#kernel;
    return {
      version: FORMAT_VERSION,
      guest: this.#guest,
      sequence: this.#sequence,
      last,
      executions: kernel.encExecutions.value,
      instructions: kernel.encInstructions.value,
      kernelInstructions: kernel.encKernelInstructions.value,
      rawEvents: kernel.encExecutions.value + kernel.encEventCount.value,
      addressCount: kernel.encAddressCount.value,
      extraCount: kernel.encExtraCount.value,
      blocks: kernel.encLocalCount.value,
      slots: kernel.encSlotCount.value,
      firstInstruction: this.#firstInstruction,
      columnBytes: {
        dictionary: columns.dictionary.length,
        code: columns.code.length,
        sequence: columns.sequence.length,
        addresses: columns.addresses.length,
        events: columns.events.length,
        counts: columns.counts.length,
      },
    };
  }
}
