import { AppError } from '@pvtrail/primitives';
import type { OpenChunk } from './chunk.js';
import type { DictionaryColumns } from './dictionary.js';
import { BLOCK_FLAGS } from './dictionary.js';
import { type DecoderKernel, instantiateKernel } from './kernel.js';
import { DECODER_LIMITS } from './limits.js';
import type { RawColumns } from './raw-columns.js';

const BLOCK_BYTES = 12;
const FLAG_KERNEL = 1;
const FLAG_REP = 2;

const align = (value: number): number => (value + 15) & ~15;

const TABLE_BYTES =
  align(2 << 15) +
  align(2 * (DECODER_LIMITS.blocks + 1)) +
  align(4 * (DECODER_LIMITS.blocks + 1)) +
  align(BLOCK_BYTES * DECODER_LIMITS.blocks) +
  align(24 * DECODER_LIMITS.slots);

/** Room that a decoder needs: its tables, a chunk's body and the raw columns at the decoder's limits. */
export const DECODER_WORK_BYTES =
  TABLE_BYTES +
  align(DECODER_LIMITS.bodyBytes) +
  4 * (DECODER_LIMITS.rawEvents + DECODER_LIMITS.addresses + DECODER_LIMITS.extras) +
  256;

export interface DecoderOptions {
  /** assembly/ compiled (dist/kernel.wasm). */
  readonly kernel: WebAssembly.Module;
  /** The memory that the raw columns are written to, for example the analysis'. */
  readonly memory: WebAssembly.Memory;
  /** Byte offset of DECODER_WORK_BYTES that nobody else uses; a multiple of 16. */
  readonly workBase: number;
}

const COMPLAINTS = [
  '',
  'a column ends inside a value',
  'a block is named that the dictionary lacks',
  'there are more addresses than declared',
  'there are more extras than declared',
  'an event is out of place',
  'the columns and the declared counts disagree',
];

const corrupt = (message: string, sequence: number): AppError =>
  new AppError('trace/corrupt-chunk', `chunk ${sequence}: ${message}`, { sequence });

/**
 * Turns chunks back into raw columns (ADR 002). Block ids are indices of the chunk's dictionary; everything else is as recorded.
 */
export class TraceDecoder {
  readonly #kernel: DecoderKernel;
  readonly #memory: WebAssembly.Memory;
  readonly #workBase: number;

  constructor(options: DecoderOptions) {
    this.#memory = options.memory;
    this.#workBase = options.workBase;
    this.#kernel = instantiateKernel(options.kernel, options.memory, () => 0);
  }

  /**
   * Decodes a chunk. The views lie in the decoder's memory (so `byteOffset` is where another kernel finds them) and are valid until
   * the next call.
   * @throws AppError `trace/corrupt-chunk`
   */
  decode(chunk: OpenChunk): RawColumns {
    const { header } = chunk;
    const columns = this.#layOut(chunk);
    this.#fillBlocks(chunk.dictionary.columns, header.slots, header.sequence);
    const status = this.#kernel.decDecode();
    if (status !== 0) throw corrupt(COMPLAINTS[status] ?? 'it cannot be decoded', header.sequence);
    const { decInstructions, decKernelInstructions } = this.#kernel;
    if (
      decInstructions.value >>> 0 !== header.instructions ||
      decKernelInstructions.value >>> 0 !== header.kernelInstructions
    ) {
      throw corrupt('the number of instructions is not the declared one', header.sequence);
    }
    return columns;
  }

  #layOut(chunk: OpenChunk): RawColumns {
    const { header } = chunk;
    const kernel = this.#kernel;
    let at = this.#workBase;
    const take = (bytes: number): number => {
      const begin = at;
      at = align(at + bytes);
      return begin;
    };
    kernel.decSuccessors.value = take(2 << 15);
    kernel.decLastSuccessors.value = take(2 * (header.blocks + 1));
    kernel.decRepCounts.value = take(4 * (header.blocks + 1));
    kernel.decBlocks.value = take(BLOCK_BYTES * header.blocks);
    kernel.decHot.value = take(8 * header.slots);
    kernel.decCold.value = take(16 * header.slots);
    kernel.decBlockCount.value = header.blocks;
    kernel.decSlotCount.value = header.slots;
    kernel.decExecutions.value = header.executions;
    kernel.decEventsLeft.value = header.rawEvents - header.executions;
    this.#placeInput(chunk, take);
    return this.#placeOutput(chunk, take);
  }

  #placeInput(chunk: OpenChunk, take: (bytes: number) => number): void {
    const kernel = this.#kernel;
    const place = (bytes: Uint8Array, begin: WebAssembly.Global, end: WebAssembly.Global): void => {
      const at = take(bytes.length);
      new Uint8Array(this.#memory.buffer, at, bytes.length).set(bytes);
      begin.value = at;
      end.value = at + bytes.length;
    };
    place(chunk.columns.sequence, kernel.decSequence, kernel.decSequenceEnd);
    place(chunk.columns.addresses, kernel.decAddresses, kernel.decAddressesEnd);
    place(chunk.columns.events, kernel.decEvents, kernel.decEventsEnd);
    place(chunk.columns.counts, kernel.decCounts, kernel.decCountsEnd);
  }

  #placeOutput({ header }: OpenChunk, take: (bytes: number) => number): RawColumns {
    const kernel = this.#kernel;
    const place = (count: number, begin: WebAssembly.Global, end: WebAssembly.Global): Uint32Array => {
      const at = take(4 * count);
      begin.value = at;
      end.value = at + 4 * count;
      return new Uint32Array(this.#memory.buffer, at, count);
    };
    return {
      events: place(header.rawEvents, kernel.decEventOut, kernel.decEventOutEnd),
      addresses: place(header.addressCount, kernel.decAddressOut, kernel.decAddressOutEnd),
      extras: place(header.extraCount, kernel.decExtraOut, kernel.decExtraOutEnd),
    };
  }

  #fillBlocks(dictionary: DictionaryColumns, declaredSlots: number, sequence: number): void {
    const base = this.#kernel.decBlocks.value;
    const words = new Uint32Array(this.#memory.buffer, base, 3 * dictionary.count);
    let firstSlot = 0;
    for (let block = 0; block < dictionary.count; block++) {
      const slots = dictionary.slots[block] ?? 0;
      const flags = dictionary.flags[block] ?? 0;
      const kernelFlag = (flags & BLOCK_FLAGS.user) === 0 ? FLAG_KERNEL : 0;
      words[3 * block] = firstSlot;
      words[3 * block + 1] = slots | ((dictionary.instructions[block] ?? 0) << 16);
      words[3 * block + 2] = kernelFlag | ((flags & BLOCK_FLAGS.rep) === 0 ? 0 : FLAG_REP);
      firstSlot += slots;
    }
    if (firstSlot !== declaredSlots) throw corrupt('the number of reference slots is not the declared one', sequence);
  }
}
