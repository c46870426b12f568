import type { Digest } from '@pvtrail/primitives';
import { chunkDigest, type EncodedChunk } from './chunk.js';
import { BLOCK_FLAGS, DictionaryWriter } from './dictionary.js';
import { type ChunkHeader, FORMAT_VERSION } from './header.js';
import { type EncoderKernel, instantiateKernel } from './kernel.js';
import {
  CHUNK_LIMITS,
  type ChunkLimits,
  DECODER_LIMITS,
  DICTIONARY_CHARGE_BYTES,
  MAX_BLOCK_BYTES,
  MAX_BLOCK_SLOTS,
} from './limits.js';
import { RawBlockTable } from './raw-block-table.js';
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

// The kernel's table of raw blocks, 16 bytes each (assembly/encode.ts).
const ENTRY_BYTES = 16;
const FLAG_KERNEL = 1;
const FLAG_REP = 2;

// A block boundary lets a column overshoot by at most one block: 512 slots of 10 bytes, and a few varints.
const COLUMN_BYTES = CHUNK_LIMITS.bytes + MAX_BLOCK_SLOTS * 10 + MAX_BLOCK_BYTES;
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

const layOut = (kernel: EncoderKernel, base: number): { table: number; tableCapacity: number } => {
  let at = base;
  const take = (bytes: number): number => {
    const begin = at;
    at = align(at + bytes);
    return begin;
  };
  kernel.encSuccessors.value = take(2 << 15);
  kernel.encLastSuccessors.value = take(2 * LOCALS);
  kernel.encRepCounts.value = take(4 * LOCALS);
  kernel.encDictionary.value = take(4 * LOCALS);
  kernel.encHot.value = take(8 * SLOTS);
  kernel.encCold.value = take(16 * SLOTS);
  kernel.encSequence.value = take(COLUMN_BYTES);
  kernel.encAddresses.value = take(COLUMN_BYTES);
  kernel.encEvents.value = take(COLUMN_BYTES);
  kernel.encCounts.value = take(COLUMN_BYTES);
  kernel.encBlocks.value = at;
  return { table: at, tableCapacity: Math.floor((base + ENCODER_WORK_BYTES - at) / ENTRY_BYTES) };
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
  readonly #dictionary = new DictionaryWriter();
  readonly #table: number;
  readonly #tableCapacity: number;
  #sequence = 0;
  #firstInstruction = 0;

  constructor(options: EncoderOptions) {
    this.#memory = options.memory;
    this.#guest = options.guest;
    this.#kernel = instantiateKernel(options.kernel, options.memory, (rawId, instructions) =>
      this.#blocks.slotsBefore(rawId, instructions),
    );
    const { table, tableCapacity } = layOut(this.#kernel, options.workBase);
    this.#table = table;
    this.#tableCapacity = tableCapacity;
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
    if (blocks.length > this.#tableCapacity) {
      throw new RangeError(`${blocks.length} raw blocks are more than the work area holds (${this.#tableCapacity})`);
    }
    const first = entries.length;
    this.#blocks.update(blocks);
    const view = new DataView(this.#memory.buffer);
    for (let id = first; id < entries.length; id++) {
      const { slots, instructions, flags, bytes } = this.#blocks.get(id);
      const at = this.#table + id * ENTRY_BYTES;
      view.setUint16(at, 0, true);
      view.setUint16(at + 2, slots, true);
      view.setUint16(at + 8, instructions, true);
      const kernelFlag = (flags & BLOCK_FLAGS.user) === 0 ? FLAG_KERNEL : 0;
      view.setUint16(at + 10, kernelFlag | ((flags & BLOCK_FLAGS.rep) === 0 ? 0 : FLAG_REP), true);
      view.setUint32(at + 12, DICTIONARY_CHARGE_BYTES + bytes.length, true);
    }
    this.#kernel.encBlockCount.value = entries.length;
  }

  #endChunk(last: boolean): EncodedChunk {
    this.#kernel.encFinish();
    const body = this.#body();
    const rest = this.#header(last);
    const header: ChunkHeader = { ...rest, digest: chunkDigest(rest, body) };
    this.#sequence++;
    this.#firstInstruction += header.instructions;
    this.#kernel.encBegin();
    return { header, body };
  }

  #column(begin: WebAssembly.Global, end: WebAssembly.Global): Uint8Array {
    return new Uint8Array(this.#memory.buffer, begin.value, end.value - begin.value);
  }

  #body(): Uint8Array {
    const kernel = this.#kernel;
    this.#writeDictionary();
    return Buffer.concat([
      this.#dictionary.meta.bytes,
      this.#dictionary.code.bytes,
      this.#column(kernel.encSequence, kernel.encSequenceEnd),
      this.#column(kernel.encAddresses, kernel.encAddressesEnd),
      this.#column(kernel.encEvents, kernel.encEventsEnd),
      this.#column(kernel.encCounts, kernel.encCountsEnd),
    ]);
  }

  #writeDictionary(): void {
    const { encDictionary, encLocalCount } = this.#kernel;
    const rawIds = new Uint32Array(this.#memory.buffer, encDictionary.value + 4, encLocalCount.value);
    this.#dictionary.clear();
    for (const rawId of rawIds) this.#dictionary.add(this.#blocks.get(rawId));
  }

  #header(last: boolean): Omit<ChunkHeader, 'digest'> {
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
        dictionary: this.#dictionary.meta.length,
        code: this.#dictionary.code.length,
        sequence: kernel.encSequenceEnd.value - kernel.encSequence.value,
        addresses: kernel.encAddressesEnd.value - kernel.encAddresses.value,
        events: kernel.encEventsEnd.value - kernel.encEvents.value,
        counts: kernel.encCountsEnd.value - kernel.encCounts.value,
      },
    };
  }
}
