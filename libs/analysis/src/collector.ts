import { AppError, formatVirt, toHex } from '@pvtrail/primitives';
import type { Arena } from './arena.js';
import { type InstructionProfile, instructionAt } from './block-profile.js';
import type { BlockTable, KnownBlock } from './block-table.js';
import type { CatalogueIndex } from './catalogue-index.js';
import type { Layout } from './kernel.js';
import { Ledger } from './ledger.js';
import { NOT_SAVE, POPF } from './save-classifier.js';
import {
  COUNT_KEYS,
  type CountKey,
  type EventRow,
  type FunctionKind,
  type FunctionRow,
  type Mode,
  noCounts,
  type PrivilegedRow,
  type UnitStatistics,
} from './statistics.js';
import type { TextCoverage } from './text-coverage.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type OpenFunctionRow = Mutable<FunctionRow>;

/** Where the kernel counts what belongs to no block. */
export interface SharedRecords {
  readonly cpuCold: number;
  readonly eventCounts: number;
}

const EVENT_KINDS = ['interrupt', 'exception', 'trap'] as const;
const NUMBERS_PER_KIND = 256;

/** Turns the kernel's counts per block into the statistics of a unit: by mode, function, site, op and cause. */
export class Collector {
  readonly #arena: Arena;
  readonly #layout: Layout;
  readonly #table: BlockTable;
  readonly #index: CatalogueIndex;
  readonly #coverage: TextCoverage;
  readonly #shared: SharedRecords;
  #functions = new Map<string, OpenFunctionRow>();
  #privileged = new Map<string, Mutable<PrivilegedRow>>();
  #events = new Map<number, Mutable<EventRow>>();
  #ledger: Ledger;

  constructor(
    arena: Arena,
    layout: Layout,
    table: BlockTable,
    index: CatalogueIndex,
    coverage: TextCoverage,
    shared: SharedRecords,
  ) {
    this.#arena = arena;
    this.#layout = layout;
    this.#table = table;
    this.#index = index;
    this.#coverage = coverage;
    this.#shared = shared;
    this.#ledger = new Ledger(index);
  }

  /** Adds the counts of all blocks to the open unit and clears them. @throws AppError `analysis/unclassified-save` */
  collect(): void {
    for (const known of this.#table.blocks) this.#collectBlock(known);
    this.#collectCpu();
    this.#collectEvents();
    this.discard();
  }

  /** Clears the counts of all blocks. */
  discard(): void {
    const { words } = this.#arena;
    const { EXECUTIONS, L1I_REFERENCES, COLD_COUNT_BYTES, PARTIAL_ROW_BYTES, EVENT_COUNTS } = this.#layout;
    for (const { hot, cold, partials, shape } of this.#table.blocks) {
      words[(hot + EXECUTIONS) >> 2] = 0;
      words[(hot + L1I_REFERENCES) >> 2] = 0;
      words.fill(0, cold >> 2, (cold + COLD_COUNT_BYTES) >> 2);
      for (let n = 0; n <= shape.instructions.length; n++) words[(partials + n * PARTIAL_ROW_BYTES) >> 2] = 0;
    }
    const { cpuCold, eventCounts } = this.#shared;
    words.fill(0, cpuCold >> 2, (cpuCold + COLD_COUNT_BYTES) >> 2);
    words.fill(0, eventCounts >> 2, (eventCounts + EVENT_COUNTS) >> 2);
  }

  /** The open unit's statistics; a new unit begins. */
  take(): UnitStatistics {
    // whether a block is known from before says nothing about this unit: after a checkpoint it is not
    const perFunction = sortedByKey(this.#functions).filter(hasCounts);
    const totals = { kernel: noCounts(), user: noCounts() };
    for (const row of perFunction) for (const key of COUNT_KEYS) totals[row.mode][key] += row[key];
    const unit = {
      totals,
      perFunction,
      privileged: sortedByKey(this.#privileged),
      events: [...this.#events].sort(([a], [b]) => a - b).map(([, row]) => row),
      ...this.#ledger.rows(),
    };
    this.#functions = new Map();
    this.#privileged = new Map();
    this.#events = new Map();
    this.#ledger = new Ledger(this.#index);
    return unit;
  }

  #collectBlock(known: KnownBlock): void {
    const { words } = this.#arena;
    const executions = words[(known.hot + this.#layout.EXECUTIONS) >> 2] ?? 0;
    const retired = this.#retired(known, executions);
    const [mostRetired = 0] = retired;
    const mode: Mode = known.block.user ? 'user' : 'kernel';
    const owner = this.#functionRow(known.profile[0]?.functionIndex ?? -1, mode);
    this.#addBlockCounts(owner, known);
    if (mostRetired === 0) return;
    known.profile.forEach((instruction, i) => {
      const times = retired[i] ?? 0;
      owner.dataReads += instruction.reads * times;
      owner.dataWrites += instruction.writes * times;
      this.#addInstruction(known, i, instruction, mode, times);
    });
  }

  /** How often each instruction of the block retired: with every whole execution, and with those that stopped behind it. */
  #retired({ shape, partials }: KnownBlock, executions: number): number[] {
    const { words } = this.#arena;
    const counts = new Array<number>(shape.instructions.length);
    let stoppedBehind = 0;
    for (let i = shape.instructions.length - 1; i >= 0; i--) {
      stoppedBehind += words[(partials + (i + 1) * this.#layout.PARTIAL_ROW_BYTES) >> 2] ?? 0;
      counts[i] = executions + stoppedBehind;
    }
    return counts;
  }

  /** What the kernel counts per block belongs to the function of the block's first byte, and so do its references. */
  #addBlockCounts(row: OpenFunctionRow, { hot, cold, profile }: KnownBlock): void {
    const { words } = this.#arena;
    const layout = this.#layout;
    row.l1iReferences += words[(hot + layout.L1I_REFERENCES) >> 2] ?? 0;
    this.#addColdCounts(row, cold);
    const extra = (words[(cold + layout.EXTRA_READS) >> 2] ?? 0) + (words[(cold + layout.EXTRA_WRITES) >> 2] ?? 0);
    if (profile[0]?.repeated === true) row.repReferences += extra;
    const last = profile[profile.length - 1];
    const thunkEntries = words[(cold + layout.THUNK_ENTRIES) >> 2] ?? 0;
    if (last !== undefined && thunkEntries > 0) this.#ledger.addThunkEntries(last.siteIndex, thunkEntries);
  }

  #addColdCounts(row: OpenFunctionRow, cold: number): void {
    const { words } = this.#arena;
    for (const [key, offset] of this.#coldFields()) row[key] += words[(cold + offset) >> 2] ?? 0;
  }

  #coldFields(): readonly (readonly [CountKey, number])[] {
    const layout = this.#layout;
    return [
      ['dataReads', layout.EXTRA_READS],
      ['dataWrites', layout.EXTRA_WRITES],
      ['repIterations', layout.REP_ITERATIONS],
      ['l1iMisses', layout.L1I_MISSES],
      ['l1dMisses', layout.L1D_MISSES],
      ['l2InstructionMisses', layout.L2_INSTRUCTION_MISSES],
      ['l2DataMisses', layout.L2_DATA_MISSES],
      ['l1dWriteBacks', layout.L1D_WRITE_BACKS],
      ['l2WriteBacks', layout.L2_WRITE_BACKS],
      ['conditionalMispredictions', layout.CONDITIONAL_MISPREDICTIONS],
      ['indirectMispredictions', layout.INDIRECT_MISPREDICTIONS],
      ['returnMispredictions', layout.RETURN_MISPREDICTIONS],
      ['unscoredBranches', layout.UNSCORED_BRANCHES],
    ];
  }

  #addInstruction(known: KnownBlock, i: number, instruction: InstructionProfile, mode: Mode, times: number): void {
    if (times === 0) return;
    const row = this.#functionRow(instruction.functionIndex, mode);
    row.instructions += times;
    if (instruction.nop) row.nops += times;
    if (instruction.repeated) row.repInstructions += times;
    if (instruction.branch !== undefined) row[instruction.branch] += times;
    if (instruction.entersFunction) row.entries += times;
    if (instruction.systemClass !== undefined) this.#addPrivileged(instruction.systemClass, mode, times);
    if (known.covered <= i) this.#cover(known, i, row);
    if (!this.#ledger.add(this.#decided(instruction), row, times)) throw unclassified(known, i);
  }

  /** A push that ends its block is judged by the block behind it. */
  #decided(instruction: InstructionProfile): InstructionProfile {
    const { decidedAt } = instruction;
    if (decidedAt === undefined || this.#table.firstByteAt(decidedAt) !== POPF) return instruction;
    return { ...instruction, save: NOT_SAVE };
  }

  #cover(known: KnownBlock, i: number, row: OpenFunctionRow): void {
    const { offset, length } = instructionAt(known.shape, i);
    row.newTextBytes += this.#coverage.add(known.block.virt + BigInt(offset), length);
    known.covered = i + 1;
  }

  #addPrivileged(kind: string, mode: Mode, times: number): void {
    const key = `${kind}\0${mode}`;
    const row = this.#privileged.get(key);
    if (row === undefined) this.#privileged.set(key, { kind, mode, count: times });
    else row.count += times;
  }

  #functionRow(functionIndex: number, mode: Mode): OpenFunctionRow {
    const found = this.#index.functions[functionIndex];
    return this.#rowOf(found?.name ?? '', found?.kind ?? 'unknown', mode);
  }

  #rowOf(name: string, kind: FunctionKind, mode: Mode): OpenFunctionRow {
    const key = `${name}\0${kind}\0${mode}`;
    const known = this.#functions.get(key);
    if (known !== undefined) return known;
    const row = { function: name, functionKind: kind, mode, entries: 0, ...noFunctionSaves, ...noCounts() };
    this.#functions.set(key, row);
    return row;
  }

  /** The frames that the CPU pushes: kernel mode, no instruction. */
  #collectCpu(): void {
    const { cpuCold } = this.#shared;
    const pushes = this.#arena.words[(cpuCold + this.#layout.EXTRA_WRITES) >> 2] ?? 0;
    if (pushes === 0) return;
    const row = this.#rowOf('', 'cpu', 'kernel');
    this.#addColdCounts(row, cpuCold);
    row.frameReferences += pushes;
  }

  #collectEvents(): void {
    const first = this.#shared.eventCounts >> 2;
    for (let i = 0; i < EVENT_KINDS.length * NUMBERS_PER_KIND; i++) {
      const count = this.#arena.words[first + i] ?? 0;
      const kind = EVENT_KINDS[Math.floor(i / NUMBERS_PER_KIND)];
      if (count === 0 || kind === undefined) continue;
      const row = this.#events.get(i) ?? { kind, number: i % NUMBERS_PER_KIND, count: 0 };
      row.count += count;
      this.#events.set(i, row);
    }
  }
}

const noFunctionSaves = {
  calleeFrameSaves: 0,
  calleeFrameRestores: 0,
  spillSaves: 0,
  spillRestores: 0,
  entryFrameSaves: 0,
  entryFrameRestores: 0,
};

const sortedByKey = <T>(rows: ReadonlyMap<string, T>): T[] =>
  [...rows].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, row]) => row);

const unclassified = ({ block, shape }: KnownBlock, i: number): AppError => {
  const { offset, length } = instructionAt(shape, i);
  const address = formatVirt(block.virt + BigInt(offset));
  const bytes = toHex(block.bytes.subarray(offset, offset + length));
  return new AppError(
    'analysis/unclassified-save',
    `the instruction ${bytes} at ${address} uses the stack, but the catalogue of saves does not know it; rebuild the catalogue`,
    { address, bytes },
  );
};

const hasCounts = (row: OpenFunctionRow): boolean =>
  Object.values(row).some((value) => typeof value === 'number' && value !== 0);
