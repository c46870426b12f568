import { AppError } from '@pvtrail/primitives';
import type { ChunkDictionary, RawColumns } from '@pvtrail/trace';
import { Arena } from './arena.js';
import type { BlockDescriptions } from './block-descriptions.js';
import { BlockTable } from './block-table.js';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from './checkpoint.js';
import { Collector } from './collector.js';
import { type AnalysisConfiguration, checkConfiguration, DEFAULT_CONFIGURATION } from './configuration.js';
import { type BoundKernel, bindKernel } from './kernel.js';
import { type MachineState, machineStateOf } from './machine-state.js';
import type { UnitStatistics } from './statistics.js';
import { TextCoverage } from './text-coverage.js';

export interface SimulatorOptions {
  /** the compiled `dist/kernel.wasm` of this package */
  readonly module: WebAssembly.Module;
  /** under the catalogue of the stage that the guest runs */
  readonly descriptions: BlockDescriptions;
  readonly configuration?: AnalysisConfiguration;
  /** the memory that a trace decoder writes its columns to; default one of its own */
  readonly memory?: WebAssembly.Memory;
  /** the simulator uses the memory from this byte on, and grows it; default 0 */
  readonly base?: number;
  /** what another simulator's `checkpoint()` gave, with the same configuration */
  readonly checkpoint?: Uint8Array;
}

/** Byte offsets of the columns in the simulator's memory. */
interface ColumnRanges {
  readonly events: number;
  readonly eventsEnd: number;
  readonly addresses: number;
  readonly addressesEnd: number;
  readonly extras: number;
  readonly extrasEnd: number;
}

const MARKER_MEASURED = 2;
const MARKER_FINISHED = 3;
const FRAME_WORDS = { 64: 5, 32: 3 } as const;

/**
 * Runs a guest's chunks, in order, through caches, branch predictor and ledger (definitions §4).
 *
 * Everything warms the caches; only what lies between the markers 2 and 3 (docs/adr/001) is counted.
 */
export class Simulator {
  readonly memory: WebAssembly.Memory;
  readonly #arena: Arena;
  readonly #kernel: BoundKernel;
  readonly #configuration: AnalysisConfiguration;
  readonly #table: BlockTable;
  readonly #collector: Collector;
  readonly #machine: MachineState;
  readonly #coverage = new TextCoverage();
  #measuring = false;
  /** an upper bound of what any count has grown by since the counts were last moved */
  #increments = 0;
  #blockMap = { offset: 0, capacity: 0 };
  #staging = { offset: 0, capacity: 0 };

  /** @throws AppError `input/invalid` for a configuration or checkpoint that cannot be used */
  constructor(options: SimulatorOptions) {
    this.#configuration = checkConfiguration(options.configuration ?? DEFAULT_CONFIGURATION);
    this.memory = options.memory ?? new WebAssembly.Memory({ initial: 16 });
    this.#arena = new Arena(this.memory, options.base ?? 0);
    this.#kernel = bindKernel(options.module, this.memory);
    const { calls, layout } = this.#kernel;
    const { descriptions } = options;
    this.#machine = machineStateOf(this.#arena, layout, calls, this.#configuration);
    this.#table = new BlockTable(this.#arena, layout, this.#configuration.caches.l1i.lineBytes, descriptions);
    const eventCounts = this.#arena.allocate(layout.EVENT_COUNTS);
    const cpuCold = this.#arena.allocate(layout.COLD_BYTES, 8);
    const { bits, index } = descriptions;
    calls.configureFrames(FRAME_WORDS[bits], bits / 8, cpuCold, eventCounts);
    calls.setPosition(0, layout.TRANSFER, 0, NO_LINE);
    this.#collector = new Collector(this.#arena, layout, this.#table, index, this.#coverage, { cpuCold, eventCounts });
    if (options.checkpoint !== undefined) this.#restore(decodeCheckpoint(options.checkpoint, this.#configuration));
  }

  /**
   * Analyses the next chunk: raw columns of docs/adr/002 whose block ids index the dictionary. Columns in the simulator's own
   * memory are read where they are (a decoder may share it), others are copied.
   * @throws AppError `trace/corrupt-chunk` for columns that contradict the dictionary or each other; the simulator is then unusable
   */
  analyse(dictionary: ChunkDictionary, columns: RawColumns): void {
    const ranges = columns.events.buffer === this.memory.buffer ? rangesOf(columns) : this.#copy(columns);
    const blocks = this.#mapBlocks(dictionary);
    const { events, eventsEnd, addresses, addressesEnd, extras, extrasEnd } = ranges;
    const { calls } = this.#kernel;
    calls.setColumns(events, eventsEnd, addresses, addressesEnd, extras, extrasEnd, blocks, dictionary.count);
    this.#runToEnd(ranges);
  }

  /**
   * What was counted since the last call: the statistics of an insert unit.
   * @throws AppError `analysis/unclassified-save` with address and bytes when the catalogue does not know an executed stack access
   */
  takeUnit(): UnitStatistics {
    this.#settle();
    return this.#collector.take();
  }

  /** Everything that another simulator needs to go on; call it after `takeUnit`, because counts are not part of it. */
  checkpoint(): Uint8Array {
    const { history, returnTop, returnCount, pendingKind, pendingEnd, lastLine, previous } = this.#kernel.state();
    const checkpoint: Checkpoint = {
      measuring: this.#measuring,
      history,
      returnTop,
      returnCount,
      pendingKind,
      pendingEnd,
      lastLine,
      previous: this.#table.byHot(previous)?.block,
      machine: this.#machine.bytes(),
      coverage: this.#coverage.pages,
    };
    return encodeCheckpoint(checkpoint, this.#configuration);
  }

  #restore(checkpoint: Checkpoint): void {
    const { previous, pendingKind, pendingEnd, lastLine, history, returnTop, returnCount } = checkpoint;
    this.#measuring = checkpoint.measuring;
    const hot = previous === undefined ? 0 : this.#table.intern(previous).hot;
    this.#machine.bytes().set(checkpoint.machine);
    this.#kernel.calls.setPredictorState(history, returnTop, returnCount);
    this.#kernel.calls.setPosition(hot, pendingKind, pendingEnd, lastLine);
    this.#coverage.restore(checkpoint.coverage);
  }

  /** Writes the records of the dictionary's blocks for the kernel; returns where. */
  #mapBlocks(dictionary: ChunkDictionary): number {
    const records = this.#table.internAll(dictionary);
    if (this.#blockMap.capacity < records.length) {
      const capacity = Math.max(2 * this.#blockMap.capacity, records.length, 4096);
      this.#blockMap = { offset: this.#arena.allocate(4 * capacity), capacity };
    }
    this.#arena.words.set(records, this.#blockMap.offset >> 2);
    return this.#blockMap.offset;
  }

  #copy({ events, addresses, extras }: RawColumns): ColumnRanges {
    const first = this.#stage(4 * (events.length + addresses.length + extras.length)) >> 2;
    const { words } = this.#arena;
    words.set(events, first);
    words.set(addresses, first + events.length);
    words.set(extras, first + events.length + addresses.length);
    const addressesAt = 4 * (first + events.length);
    const extrasAt = addressesAt + 4 * addresses.length;
    const ends = { eventsEnd: addressesAt, addressesEnd: extrasAt, extrasEnd: extrasAt + 4 * extras.length };
    return { events: 4 * first, addresses: addressesAt, extras: extrasAt, ...ends };
  }

  #stage(bytes: number): number {
    if (this.#staging.capacity < bytes) {
      const capacity = Math.max(2 * this.#staging.capacity, bytes);
      this.#staging = { offset: this.#arena.allocate(capacity), capacity };
    }
    return this.#staging.offset;
  }

  #runToEnd(columns: ColumnRanges): void {
    const { calls, layout } = this.#kernel;
    let status = calls.run();
    for (; status === layout.MARKER; status = calls.run()) this.#passMarker(this.#kernel.state().markerCode);
    const { eventCursor, addressCursor, extraCursor, iterationsSeen } = this.#kernel.state();
    if (status === layout.CORRUPT) throw corrupt(`event ${(eventCursor - columns.events) / 4 - 1}`);
    if (addressCursor !== columns.addressesEnd)
      throw corrupt(`${(columns.addressesEnd - addressCursor) / 4} addresses too many`);
    if (extraCursor !== columns.extrasEnd) throw corrupt(`${(columns.extrasEnd - extraCursor) / 4} extras too many`);
    this.#increments += (columns.eventsEnd - columns.events) * LINES_PER_EVENT + iterationsSeen;
    if (this.#increments > COUNT_LIMIT) this.#settle();
  }

  /** Moves the kernel's 32-bit counts to the statistics, or drops them outside the measured region. */
  #settle(): void {
    if (this.#measuring) this.#collector.collect();
    else this.#collector.discard();
    this.#increments = 0;
  }

  #passMarker(code: number): void {
    if (code === MARKER_MEASURED && !this.#measuring) {
      this.#settle();
      this.#measuring = true;
    }
    if (code === MARKER_FINISHED && this.#measuring) {
      this.#settle();
      this.#measuring = false;
    }
  }
}

const NO_LINE = 0xffffffff;
/** A block event adds at most this much to one count: the lines of 64 instructions. */
const LINES_PER_EVENT = 64;
const COUNT_LIMIT = 2 ** 31;

const rangesOf = ({ events, addresses, extras }: RawColumns): ColumnRanges => ({
  events: events.byteOffset,
  eventsEnd: events.byteOffset + events.byteLength,
  addresses: addresses.byteOffset,
  addressesEnd: addresses.byteOffset + addresses.byteLength,
  extras: extras.byteOffset,
  extrasEnd: extras.byteOffset + extras.byteLength,
});

const corrupt = (what: string): AppError =>
  new AppError('trace/corrupt-chunk', `the columns of the chunk do not fit its dictionary: ${what}`);
