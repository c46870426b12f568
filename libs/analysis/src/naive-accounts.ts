import { formatVirt } from '@pvtrail/primitives';
import type { CatalogueSave, CatalogueSite, CatalogueThunk, KernelCatalogue } from '@pvtrail/pvops';
import type { BlockShape, InstructionShape } from '@pvtrail/x86';
import {
  CAUSES,
  type Cause,
  COUNT_KEYS,
  type EventRow,
  type FunctionKind,
  type FunctionRow,
  type LedgerCheck,
  type Mode,
  noCounts,
  type OpRow,
  type PrivilegedRow,
  type SiteRow,
  type UnitStatistics,
} from './statistics.js';

type Open<T> = { -readonly [K in keyof T]: T[K] };

/** An instruction that retired, and where. */
export interface Retired {
  readonly virt: bigint;
  readonly mode: Mode;
  readonly instruction: InstructionShape;
  readonly shape: BlockShape;
}

/** What a push, pop or stack move saved and restored. */
interface Saved {
  readonly cause: Cause;
  readonly saves: number;
  readonly restores: number;
}

/** What the catalogue says about an address. */
interface Place {
  readonly owner: KernelCatalogue['functions'][number] | undefined;
  readonly entersOwner: boolean;
  readonly site: CatalogueSite | undefined;
  readonly entersSite: boolean;
  readonly thunk: CatalogueThunk | undefined;
  readonly entersThunk: boolean;
  readonly saves: readonly CatalogueSave[];
  readonly noSave: boolean;
}

const STACK_MOVES = new Set(['push', 'pop', 'store', 'load', 'update']);

/**
 * The accounts of the naive model: every retired instruction is looked up in the catalogue as it comes and judged by the
 * instructions that really ran before and behind it (definitions §4). Yields what the simulator yields.
 */
export class NaiveAccounts {
  readonly #catalogue: KernelCatalogue;
  readonly #places = new Map<bigint, Place>();
  #unit = new OpenUnit();
  #previous: Retired | undefined;
  /** the site whose push was retired last: what runs behind it says whether it saves, or is half of an inlined `push; popf` */
  #openPush: CatalogueSite | undefined;

  constructor(catalogue: KernelCatalogue) {
    this.#catalogue = catalogue;
  }

  row(virt: bigint, mode: Mode): Open<FunctionRow> {
    const { owner } = this.#placeAt(virt);
    return this.#unit.functionRow(owner?.name ?? '', owner?.kind ?? 'unknown', mode);
  }

  /** The frames that the CPU pushes. */
  cpuRow(): Open<FunctionRow> {
    return this.#unit.functionRow('', 'cpu', 'kernel');
  }

  retire(retired: Retired): void {
    const { virt, mode, instruction, shape } = retired;
    const row = this.row(virt, mode);
    row.instructions++;
    if (instruction.nop) row.nops++;
    if (shape.slots.some((slot) => slot.repeated)) row.repInstructions++;
    if (this.#placeAt(virt).entersOwner) row.entries++;
    if (instruction.systemClass !== undefined) this.#unit.privilegedRow(instruction.systemClass, mode).count++;
    this.#judgeOpenPush(instruction);
    if (mode === 'kernel') this.#enterByAddress(retired, row);
    this.#previous = retired;
  }

  deliver(kind: EventRow['kind'], number: number): void {
    this.#unit.eventRow(kind, number).count++;
  }

  /** A call by the instruction at `from` arrived at `target`. */
  arrive(from: bigint, target: bigint): void {
    const { site } = this.#placeAt(from);
    if (site !== undefined && this.#placeAt(target).entersThunk) this.#unit.siteRow(site).thunkEntries++;
  }

  /** The statistics since the last call, rows in any order. */
  take(): UnitStatistics {
    const unit = this.#unit;
    this.#unit = new OpenUnit();
    return unit.close();
  }

  #enterByAddress({ virt, instruction }: Retired, row: Open<FunctionRow>): void {
    const place = this.#placeAt(virt);
    const moves = STACK_MOVES.has(instruction.stackUse ?? '');
    if (place.site !== undefined) {
      this.#enterSite(place.site, place.entersSite, instruction);
      if (moves) this.#enterSiteMove(place.site, instruction);
    } else if (place.thunk !== undefined) {
      this.#enterThunk(place.thunk, place.entersThunk, moves ? instruction : undefined);
    } else if (!movesFlags(instruction)) {
      this.#enterMove(place, row);
    }
  }

  #enterSite(site: CatalogueSite, enters: boolean, { nop }: InstructionShape): void {
    const row = this.#unit.siteRow(site);
    if (enters) row.executions++;
    row.instructions++;
    if (nop) row.nops++;
  }

  /** `57 9d` and `9c 58` move the flags and save nothing. */
  #enterSiteMove(site: CatalogueSite, { stackUse }: InstructionShape): void {
    if (stackUse === 'push') this.#openPush = site;
    else if (this.#previous !== undefined && movesFlags(this.#previous.instruction)) this.#unit.addNotSave();
    else this.#addInSite(site, { cause: 'in-site', saves: 0, restores: 1 });
  }

  #judgeOpenPush(next: InstructionShape): void {
    const site = this.#openPush;
    this.#openPush = undefined;
    if (site === undefined) return;
    if (movesFlags(next)) this.#unit.addNotSave();
    else this.#addInSite(site, { cause: 'in-site', saves: 1, restores: 0 });
  }

  #addInSite(site: CatalogueSite, saved: Saved): void {
    const row = this.#unit.siteRow(site);
    row.saves += saved.saves;
    row.restores += saved.restores;
    this.#unit.addSaved(saved);
  }

  #enterThunk(thunk: CatalogueThunk, enters: boolean, move: InstructionShape | undefined): void {
    const row = this.#unit.opRow(thunk.op);
    if (enters) row.thunkEntries++;
    row.thunkInstructions++;
    if (move === undefined) return;
    const saves = move.stackUse === 'push' ? 1 : 0;
    row.thunkSaves += saves;
    row.thunkRestores += 1 - saves;
    this.#unit.addSaved({ cause: 'thunk', saves, restores: 1 - saves });
  }

  #enterMove(place: Place, row: Open<FunctionRow>): void {
    const [first] = place.saves;
    if (place.noSave) this.#unit.addNotSave();
    if (first === undefined) return;
    const saves = place.saves.filter(({ kind }) => kind === 'save').length;
    const restores = place.saves.length - saves;
    const [savesKey, restoresKey] = FUNCTION_KEYS[first.cause];
    row[savesKey] += saves;
    row[restoresKey] += restores;
    this.#unit.addSaved({ cause: first.cause, saves, restores });
  }

  /** The catalogue's lists are searched from their start, once an address. */
  #placeAt(virt: bigint): Place {
    const known = this.#places.get(virt);
    if (known !== undefined) return known;
    const at = formatVirt(virt);
    const { functions, sites, thunks, saves, notSaves } = this.#catalogue;
    const owner = functions.find(({ address, slotBytes }) => holds(address, slotBytes, virt));
    const site = sites.find(({ address, length }) => holds(address, length, virt));
    const thunk = thunks.find(({ address, bytes }) => holds(address, bytes, virt));
    const place = {
      owner,
      entersOwner: owner?.address === at,
      site,
      entersSite: site?.address === at,
      thunk,
      entersThunk: thunk?.address === at,
      saves: saves.filter(({ address }) => address === at),
      noSave: notSaves.some(({ address }) => address === at),
    };
    this.#places.set(virt, place);
    return place;
  }
}

/** pushf and popf are no stack moves of the ledger. */
const movesFlags = ({ mnemonic }: InstructionShape): boolean => /^(push|pop)f/.test(mnemonic);

const FUNCTION_KEYS = {
  'callee-frame': ['calleeFrameSaves', 'calleeFrameRestores'],
  spill: ['spillSaves', 'spillRestores'],
  'entry-frame': ['entryFrameSaves', 'entryFrameRestores'],
} as const;

const holds = (address: string, bytes: number, virt: bigint): boolean =>
  virt >= BigInt(address) && virt < BigInt(address) + BigInt(bytes);

/** Rows of a unit by key, made when they are first asked for. */
class OpenUnit {
  readonly #functions = new Map<string, Open<FunctionRow>>();
  readonly #sites = new Map<string, Open<SiteRow>>();
  readonly #ops = new Map<string, Open<OpRow>>();
  readonly #privileged = new Map<string, Open<PrivilegedRow>>();
  readonly #events = new Map<string, Open<EventRow>>();
  readonly #causes = CAUSES.map((cause) => ({ cause, saves: 0, restores: 0 }));
  readonly #ledger: Open<LedgerCheck> = { saves: 0, restores: 0, notSaves: 0, foldedSaves: 0, stackMoves: 0 };

  functionRow(name: string, functionKind: FunctionKind, mode: Mode): Open<FunctionRow> {
    return openRow(this.#functions, `${name} ${functionKind} ${mode}`, () => {
      const saves = { calleeFrameSaves: 0, calleeFrameRestores: 0, spillSaves: 0, spillRestores: 0 };
      const entryFrames = { entryFrameSaves: 0, entryFrameRestores: 0 };
      return { function: name, functionKind, mode, entries: 0, ...saves, ...entryFrames, ...noCounts() };
    });
  }

  siteRow({ address, function: name, op }: CatalogueSite): Open<SiteRow> {
    const counts = { executions: 0, instructions: 0, nops: 0, saves: 0, restores: 0, thunkEntries: 0 };
    return openRow(this.#sites, address, () => ({ address, function: name, op, ...counts }));
  }

  opRow(op: string): Open<OpRow> {
    const site = { executions: 0, siteInstructions: 0, siteNops: 0, siteSaves: 0, siteRestores: 0 };
    const thunk = { thunkEntries: 0, thunkInstructions: 0, thunkSaves: 0, thunkRestores: 0 };
    return openRow(this.#ops, op, () => ({ op, ...site, ...thunk }));
  }

  privilegedRow(kind: string, mode: Mode): Open<PrivilegedRow> {
    return openRow(this.#privileged, `${kind} ${mode}`, () => ({ kind, mode, count: 0 }));
  }

  eventRow(kind: EventRow['kind'], number: number): Open<EventRow> {
    return openRow(this.#events, `${kind} ${number}`, () => ({ kind, number, count: 0 }));
  }

  addSaved({ cause, saves, restores }: Saved): void {
    for (const row of this.#causes) {
      if (row.cause !== cause) continue;
      row.saves += saves;
      row.restores += restores;
    }
    this.#ledger.saves += saves;
    this.#ledger.restores += restores;
    if (saves > 0 && restores > 0) this.#ledger.foldedSaves++;
    this.#ledger.stackMoves++;
  }

  addNotSave(): void {
    this.#ledger.notSaves++;
    this.#ledger.stackMoves++;
  }

  close(): UnitStatistics {
    for (const site of this.#sites.values()) this.#addToOp(site);
    const perFunction = [...this.#functions.values()].filter(isCounted);
    const totals = { kernel: noCounts(), user: noCounts() };
    for (const row of perFunction) for (const key of COUNT_KEYS) totals[row.mode][key] += row[key];
    return {
      totals,
      perFunction,
      perSite: [...this.#sites.values()],
      perOp: [...this.#ops.values()],
      perCause: this.#causes,
      privileged: [...this.#privileged.values()],
      events: [...this.#events.values()],
      ledger: this.#ledger,
    };
  }

  #addToOp(site: SiteRow): void {
    const op = this.opRow(site.op);
    op.executions += site.executions;
    op.siteInstructions += site.instructions;
    op.siteNops += site.nops;
    op.siteSaves += site.saves;
    op.siteRestores += site.restores;
  }
}

const openRow = <T>(rows: Map<string, T>, key: string, make: () => T): T => {
  const row = rows.get(key) ?? make();
  rows.set(key, row);
  return row;
};

const isCounted = (row: FunctionRow): boolean =>
  Object.values(row).some((value) => typeof value === 'number' && value !== 0);
