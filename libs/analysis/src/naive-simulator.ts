import type { KernelCatalogue } from '@pvtrail/pvops';
import { type ChunkDictionary, EVENT_KINDS, eventOf, type RawColumns, TRAP_KINDS } from '@pvtrail/trace';
import type { BlockShape, ReferenceSlot } from '@pvtrail/x86';
import type { TraceBlock } from './block-profile.js';
import { blockOf } from './block-table.js';
import type { AnalysisConfiguration } from './configuration.js';
import { NaiveAccounts } from './naive-accounts.js';
import { type CacheHits, NaiveCaches } from './naive-caches.js';
import { NaivePredictor } from './naive-predictor.js';
import { type CountKey, type EventRow, type Mode, noCounts, type UnitStatistics } from './statistics.js';

type Counts = Record<CountKey, number>;

const PAGE_BYTES = 4096;
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);

interface ShapedBlock {
  readonly block: TraceBlock;
  readonly shape: BlockShape;
}

/** A block event with everything that belongs to it. */
interface Execution extends ShapedBlock {
  readonly counts: Counts;
  /** instructions retired, and whether the next one was fetched and faulted */
  readonly retired: number;
  readonly faulted: boolean;
  readonly splits: ReadonlyMap<number, number>;
}

/** The block that ran last, for what its end decides: where a branch went, and whether the next fetch follows a taken transfer. */
interface Departure {
  readonly execution: Execution | undefined;
  readonly kind: BlockShape['end']['kind'] | 'transfer';
  /** low half of the address behind it */
  readonly next: number;
}

/**
 * The slow, readable twin of the simulator: one instruction, one element, one line at a time (definitions §4, docs/adr/002).
 * Yields the same statistics of the measured region.
 */
export class NaiveSimulator {
  readonly #bits: KernelCatalogue['bits'];
  readonly #accounts: NaiveAccounts;
  readonly #lineBytes: number;
  readonly #caches: NaiveCaches;
  readonly #predictor: NaivePredictor;
  readonly #executedText = new Set<bigint>();
  #measuring = false;
  #hits: CacheHits = { l1i: 0, l1d: 0, l2: 0 };
  #lastLine = -1;
  #departure: Departure = { execution: undefined, kind: 'transfer', next: 0 };
  #blocks: readonly ShapedBlock[] = [];
  #events = new Column();
  #addresses = new Column();
  #extras = new Column();

  constructor(catalogue: KernelCatalogue, configuration: AnalysisConfiguration) {
    this.#bits = catalogue.bits;
    this.#accounts = new NaiveAccounts(catalogue);
    this.#lineBytes = configuration.caches.l1i.lineBytes;
    this.#caches = new NaiveCaches(configuration.caches);
    this.#predictor = new NaivePredictor(configuration.predictor);
  }

  analyse(dictionary: ChunkDictionary, columns: RawColumns): void {
    this.#blocks = Array.from({ length: dictionary.count }, (_, i) => ({
      block: blockOf(dictionary, i),
      shape: dictionary.shape(i),
    }));
    this.#events = new Column(columns.events);
    this.#addresses = new Column(columns.addresses);
    this.#extras = new Column(columns.extras);
    while (this.#events.peek() !== undefined) this.#step(this.#events.take());
  }

  /** Counts since the last call, rows in any order; functions without counts are left out. */
  takeUnit(): UnitStatistics {
    const unit = this.#accounts.take();
    this.#forgetCounts();
    return unit;
  }

  /** Hits of the measured region that ended last; neither references nor misses are computed from them. */
  get hits(): CacheHits {
    return this.#hits;
  }

  #step(word: number): void {
    const form = word >>> 30;
    if (form === 0) this.#execute(word & 0xffffff);
    else if (form === 1) this.#continue();
    else this.#deliver((word >>> 24) & 0x3f, word & 0xffffff);
  }

  #execute(id: number): void {
    const known = this.#blocks[id];
    if (known === undefined) throw new RangeError(`no block ${id}`);
    const { block, shape } = known;
    const counts = this.#countsOf(block.virt, modeOf(block));
    const repeated = shape.slots.some((slot) => slot.repeated);
    const iterations = repeated ? this.#extras.take() : 1;
    const { retired = shape.instructions.length, faulted, splits } = this.#qualifiers();
    const execution = { block, shape, counts, retired, faulted, splits };
    this.#fetch(execution, this.#arrive(block.virt));
    if (repeated) this.#repeat(execution, iterations);
    else this.#reference(execution);
    const complete = retired === shape.instructions.length;
    const faultsLater = repeated && this.#laterRunFaults();
    if (!faultsLater) this.#retire(execution);
    const next = low(block.virt + BigInt(shape.instructions[retired]?.offset ?? shape.byteLength));
    this.#departure = { execution, kind: complete ? shape.end.kind : 'size', next };
  }

  /** A rep instruction whose later run faults has not retired, though its first run is complete. */
  #laterRunFaults(): boolean {
    let i = 0;
    for (; this.#eventAt(i) >>> 30 === 1 || this.#eventAt(i) >>> 24 === 0x85; i++);
    return i > 0 && this.#eventAt(i) >>> 24 === 0x80;
  }

  #eventAt(ahead: number): number {
    return this.#events.peek(ahead) ?? 0;
  }

  #continue(): void {
    const { execution } = this.#departure;
    if (execution === undefined) throw new RangeError('nothing to continue');
    const iterations = this.#extras.take();
    const { retired, splits } = this.#qualifiers();
    this.#repeat({ ...execution, splits }, iterations);
    if (retired === 0) this.#departure = { execution, kind: 'size', next: low(execution.block.virt) };
  }

  #qualifiers(): { retired: number | undefined; faulted: boolean; splits: ReadonlyMap<number, number> } {
    let retired: number | undefined;
    const splits = new Map<number, number>();
    for (;;) {
      const kind = this.#eventAt(0) >>> 24;
      if (kind === 0x80) retired = this.#events.take() & 0xffffff;
      else if (kind === 0x85) splits.set(this.#events.take() & 0xffffff, this.#extras.take());
      else break;
    }
    return { retired, faulted: isFault(this.#eventAt(0)), splits };
  }

  /** Resolves the transfer that led to `start`; true when it was taken. */
  #arrive(virt: bigint): boolean {
    const { execution, kind, next } = this.#departure;
    const start = low(virt);
    const elsewhere = start !== next;
    if (execution === undefined || !PREDICTED.has(kind)) return ALWAYS_TAKEN.has(kind) || elsewhere;
    const { counts, block, shape } = execution;
    const from = block.virt + BigInt(shape.instructions.at(-1)?.offset ?? 0);
    const branch = low(from);
    const calls = kind === 'call' || kind === 'indirect-call';
    if (kind === 'conditional' && !this.#predictor.conditional(branch, elsewhere)) counts.conditionalMispredictions++;
    if (kind.startsWith('indirect') && !this.#predictor.indirect(branch, start)) counts.indirectMispredictions++;
    if (kind === 'return' && !this.#predictor.return(start)) counts.returnMispredictions++;
    if (calls) {
      this.#predictor.call(next);
      if (this.#measuring) this.#accounts.arrive(from, virt);
    }
    return kind !== 'conditional' || elsewhere;
  }

  #fetch({ block, shape, counts, retired, faulted }: Execution, taken: boolean): void {
    const fetched = shape.instructions.slice(0, retired + (faulted ? 1 : 0));
    let first = taken;
    for (const { offset, length } of fetched) {
      for (let i = offset; i < offset + length; i++) {
        const line = Math.floor(physOf(block, i) / this.#lineBytes);
        if (first || line !== this.#lastLine) {
          counts.l1iReferences++;
          this.#caches.fetch(line, counts);
        }
        first = false;
        this.#lastLine = line;
      }
    }
  }

  #reference({ shape, counts, retired, splits }: Execution): void {
    for (const [i, slot] of shape.slots.entries()) {
      if (slot.instruction < retired) this.#element(slot, this.#addresses.take(), splits.get(i), counts);
    }
  }

  #repeat({ shape, counts, splits }: Execution, word: number): void {
    const iterations = word & 0x7fffffff;
    const step = word >>> 31 === 1 ? -1 : 1;
    const firsts = shape.slots.map(() => this.#addresses.take());
    const before = counts.dataReads + counts.dataWrites;
    for (let n = 0; n < iterations; n++) {
      for (const [i, slot] of shape.slots.entries()) {
        const address = (firsts[i] ?? 0) + step * n * slot.widthBytes;
        this.#element(slot, address, n === iterations - 1 ? splits.get(i) : undefined, counts);
      }
    }
    counts.repIterations += iterations;
    counts.repReferences += counts.dataReads + counts.dataWrites - before;
  }

  /** Every byte of an element, so that every line is met in order; each line is one reference, an update two. */
  #element(slot: ReferenceSlot, address: number, second: number | undefined, counts: Counts): void {
    const inPage = PAGE_BYTES - (address % PAGE_BYTES);
    let lastLine = -1;
    for (let i = 0; i < Math.max(1, slot.widthBytes); i++) {
      const at = second === undefined || i < inPage ? address + i : second + i - inPage;
      const line = Math.floor(at / this.#lineBytes);
      if (line === lastLine) continue;
      lastLine = line;
      if (slot.direction !== 'write') {
        counts.dataReads++;
        this.#caches.data(line, false, counts);
      }
      if (slot.direction !== 'read') {
        counts.dataWrites++;
        this.#caches.data(line, true, counts);
      }
    }
  }

  #retire({ block, shape, retired }: Execution): void {
    if (!this.#measuring) return;
    const mode = modeOf(block);
    for (const instruction of shape.instructions.slice(0, retired)) {
      const virt = block.virt + BigInt(instruction.offset);
      this.#accounts.retire({ virt, mode, instruction, shape });
      const row = this.#countsOf(virt, mode);
      for (let i = 0; i < instruction.length; i++) this.#cover(virt + BigInt(i), row);
    }
    if (retired < shape.instructions.length) return;
    const last = this.#countsOf(block.virt + BigInt(shape.instructions.at(-1)?.offset ?? 0), mode);
    if (shape.end.kind === 'conditional') last.conditionalBranches++;
    if (shape.end.kind.startsWith('indirect')) last.indirectBranches++;
    if (shape.end.kind === 'return') last.returns++;
  }

  #cover(address: bigint, counts: Counts): void {
    if (this.#executedText.has(address)) return;
    this.#executedText.add(address);
    counts.newTextBytes++;
  }

  #deliver(kind: number, payload: number): void {
    const event = DELIVERED[kind];
    if (event !== undefined && this.#measuring) this.#accounts.deliver(event, Math.min(payload, LAST_NUMBER));
    if (kind === 1 || kind === 2) this.#enterHandler(kind === 2 && WITH_ERROR_CODE.has(payload));
    if (kind === 7 && ENTERING_TRAPS.has(payload)) this.#leaveForHandler();
    if (kind === 3 && payload === 2 && !this.#measuring) {
      this.#measuring = true;
      this.#caches.takeHits();
      this.#forgetCounts();
    }
    if (kind === 3 && payload === 3 && this.#measuring) {
      this.#measuring = false;
      this.#hits = this.#caches.takeHits();
      this.#forgetCounts();
    }
  }

  /** The block before a marker stays where control came from, but its later counts belong to the new region. */
  #forgetCounts(): void {
    const { execution } = this.#departure;
    if (execution === undefined) return;
    const counts = this.#countsOf(execution.block.virt, modeOf(execution.block));
    this.#departure = { ...this.#departure, execution: { ...execution, counts } };
  }

  #enterHandler(withCode: boolean): void {
    const frame = this.#extras.take();
    const width = this.#bits / 8;
    const counts = this.#measuring ? this.#accounts.cpuRow() : noCounts();
    for (let i = 1; i <= (this.#bits === 64 ? 5 : 3) + (withCode ? 1 : 0); i++) {
      const before = counts.dataWrites;
      const slot: ReferenceSlot = {
        instruction: 0,
        direction: 'write',
        widthBytes: width,
        stack: true,
        repeated: false,
      };
      this.#element(slot, frame - i * width, undefined, counts);
      counts.frameReferences += counts.dataWrites - before;
    }
    this.#leaveForHandler();
  }

  #leaveForHandler(): void {
    const { execution, kind, next } = this.#departure;
    if (kind === 'call' || kind === 'indirect-call') this.#predictor.call(next);
    if (kind === 'return') this.#predictor.return(0);
    if (execution !== undefined && PREDICTED.has(kind) && kind !== 'call') execution.counts.unscoredBranches++;
    this.#departure = { execution, kind: 'transfer', next: 0 };
  }

  #countsOf(virt: bigint, mode: Mode): Counts {
    return this.#measuring ? this.#accounts.row(virt, mode) : noCounts();
  }
}

/** A column that is read from its start. */
class Column {
  readonly #words: Uint32Array;
  #next = 0;

  constructor(words: Uint32Array = new Uint32Array()) {
    this.#words = words;
  }

  take(): number {
    const word = this.peek();
    if (word === undefined) throw new RangeError('a column ends too early');
    this.#next++;
    return word;
  }

  peek(ahead = 0): number | undefined {
    return this.#words[this.#next + ahead];
  }
}

const PREDICTED = new Set<Departure['kind']>(['conditional', 'call', 'indirect-call', 'indirect-jump', 'return']);
/** Traps after which the guest goes on in a handler. */
const ENTERING_TRAPS = new Set<number>([TRAP_KINDS.exception, TRAP_KINDS['system-call'], TRAP_KINDS.upcall]);
const isFault = (word: number): boolean =>
  word >>> 24 === 0x82 || word === eventOf(EVENT_KINDS.trap, TRAP_KINDS.exception);

const ALWAYS_TAKEN = new Set<Departure['kind']>([
  'jump',
  'far',
  'interrupt-return',
  'system-call',
  'system-return',
  'software-interrupt',
  'undefined',
  'transfer',
]);

const DELIVERED: Readonly<Record<number, EventRow['kind']>> = { 1: 'interrupt', 2: 'exception', 7: 'trap' };

/** Traps of higher kinds are counted as this one. */
const LAST_NUMBER = 255;

const modeOf = ({ user }: TraceBlock): Mode => (user ? 'user' : 'kernel');

const low = (virt: bigint): number => Number(virt & 0xffffffffn);

const physOf = ({ phys, physNextPage }: TraceBlock, offset: number): number => {
  const inFirstPage = PAGE_BYTES - (phys % PAGE_BYTES);
  return offset < inFirstPage ? phys + offset : physNextPage + offset - inFirstPage;
};
