import { AppError } from '@pvtrail/primitives';
import type { KernelCatalogue } from '@pvtrail/pvops';
import { Arena } from './arena.js';
import type { TraceBlock } from './block-profile.js';
import { BlockTable } from './block-table.js';
import { CatalogueIndex } from './catalogue-index.js';
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
  /** of the stage that the guest runs */
  readonly catalogue: KernelCatalogue;
  readonly configuration?: AnalysisConfiguration;
  /** the memory that a trace decoder writes its columns to; default one of its own */
  readonly memory?: WebAssembly.Memory;
  /** the simulator uses the memory from this byte on, and grows it; default 0 */
  readonly base?: number;
  /** what another simulator's `checkpoint()` gave, with the same configuration */
  readonly checkpoint?: Uint8Array;
}

/** Columns of docs/adr/002 in the simulator's memory, as byte offsets; block ids index the dictionary given with them. */
export interface ColumnRanges {
  readonly events: number;
  readonly eventsEnd: number;
  readonly addresses: number;
  readonly addressesEnd: number;
  readonly extras: number;
  readonly extrasEnd: number;
}

/** The same columns anywhere else. */
export interface Columns {
  readonly events: Uint32Array;
  readonly addresses: Uint32Array;
  readonly extras: Uint32Array;
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
    const index = new CatalogueIndex(options.catalogue);
    this.#machine = machineStateOf(this.#arena, layout, calls, this.#configuration);
    this.#table = new BlockTable(this.#arena, layout, this.#configuration.caches.l1i.lineBytes, index);
    const eventCounts = this.#arena.allocate(layout.EVENT_COUNTS);
    const cpuCold = this.#arena.allocate(layout.COLD_BYTES);
    const { bits } = options.catalogue;
    calls.configureFrames(FRAME_WORDS[bits], bits / 8, cpuCold, eventCounts);
    calls.setPosition(0, layout.TRANSFER, 0, NO_LINE);
    this.#collector = new Collector(this.#arena, layout, this.#table, index, this.#coverage, { cpuCold, eventCounts });
    if (options.checkpoint !== undefined) this.#restore(decodeCheckpoint(options.checkpoint, this.#configuration));
  }

  /**
   * Analyses a chunk whose columns lie in `memory`. `dictionary[i]` is the block with id i.
   * @throws AppError `trace/corrupt-chunk` for columns that contradict the dictionary or each other; the simulator is then unusable
   */
  analyse(dictionary: readonly TraceBlock[], columns: ColumnRanges): void {
    this.#mapBlocks(dictionary);
    this.#kernel.calls.setColumns(
      columns.events,
      columns.eventsEnd,
      columns.addresses,
      columns.addressesEnd,
      columns.extras,
      columns.extrasEnd,
      this.#blockMap.offset,
      dictionary.length,
    );
    this.#runToEnd(columns);
  }

  /** Copies the columns into the simulator's memory and analyses them. @throws as `analyse` */
  analyseCopy(dictionary: readonly TraceBlock[], columns: Columns): void {
    const parts = [columns.events, columns.addresses, columns.extras];
    let at = this.#stage(4 * parts.reduce((sum, part) => sum + part.length, 0));
    const [events = 0, addresses = 0, extras = 0, end = 0] = [0, ...parts.map((part) => 4 * part.length)].map(
      (bytes) => {
        at += bytes;
        return at;
      },
    );
    const { words } = this.#arena;
    words.set(columns.events, events >> 2);
    words.set(columns.addresses, addresses >> 2);
    words.set(columns.extras, extras >> 2);
    this.analyse(dictionary, { events, eventsEnd: addresses, addresses, addressesEnd: extras, extras, extrasEnd: end });
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

  #mapBlocks(dictionary: readonly TraceBlock[]): void {
    if (this.#blockMap.capacity < dictionary.length) {
      const capacity = Math.max(2 * this.#blockMap.capacity, dictionary.length, 4096);
      this.#blockMap = { offset: this.#arena.allocate(4 * capacity), capacity };
    }
    const records = dictionary.map((block) => this.#table.intern(block).hot);
    this.#arena.words.set(records, this.#blockMap.offset >> 2);
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

const corrupt = (what: string): AppError =>
  new AppError('trace/corrupt-chunk', `the columns of the chunk do not fit its dictionary: ${what}`);
