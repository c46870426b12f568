import type { InstructionProfile } from './block-profile.js';
import type { CatalogueIndex } from './catalogue-index.js';
import {
  CAUSES,
  type Cause,
  type CauseRow,
  type FunctionRow,
  type LedgerCheck,
  type OpRow,
  type SiteRow,
} from './statistics.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The register-save ledger of a unit: every executed push, pop and stack move of kernel code, by cause, site, op and function. */
export class Ledger {
  readonly #index: CatalogueIndex;
  readonly #sites = new Map<number, Mutable<SiteRow>>();
  readonly #ops = new Map<string, Mutable<OpRow>>();
  readonly #causes: Record<Cause, Mutable<CauseRow>>;
  readonly #check: Mutable<LedgerCheck> = { saves: 0, restores: 0, notSaves: 0, foldedSaves: 0, stackMoves: 0 };

  constructor(index: CatalogueIndex) {
    this.#index = index;
    this.#causes = Object.fromEntries(CAUSES.map((cause) => [cause, { cause, saves: 0, restores: 0 }])) as Record<
      Cause,
      Mutable<CauseRow>
    >;
  }

  /** Counts `times` executions of an instruction. False when it is a stack access that the catalogue does not know. */
  add(instruction: InstructionProfile, row: Mutable<FunctionRow>, times: number): boolean {
    if (instruction.siteIndex >= 0) this.#addToSite(instruction, times);
    if (instruction.thunkIndex >= 0) this.#addToThunk(instruction, times);
    const { save, stackAccess } = instruction;
    if (stackAccess) this.#check.stackMoves += times;
    if (save.kind === 'none') return !stackAccess;
    if (save.kind === 'unclassified' || !stackAccess) return false;
    if (save.kind === 'not-save') this.#check.notSaves += times;
    else this.#addSave(save.cause, save.saves * times, save.restores * times, row);
    return true;
  }

  /** Calls from a site that arrived at a callee-save thunk. */
  addThunkEntries(siteIndex: number, times: number): void {
    if (siteIndex >= 0) this.#site(siteIndex).thunkEntries += times;
  }

  rows(): {
    readonly perSite: SiteRow[];
    readonly perOp: OpRow[];
    readonly perCause: CauseRow[];
    readonly ledger: LedgerCheck;
  } {
    const perSite = [...this.#sites.values()].sort((a, b) => (a.address < b.address ? -1 : 1));
    for (const site of perSite) this.#addSiteToOp(site);
    return {
      perSite,
      perOp: [...this.#ops.values()].sort((a, b) => (a.op < b.op ? -1 : 1)),
      perCause: CAUSES.map((cause) => this.#causes[cause]),
      ledger: this.#check,
    };
  }

  #addSave(cause: Cause, saves: number, restores: number, row: Mutable<FunctionRow>): void {
    this.#causes[cause].saves += saves;
    this.#causes[cause].restores += restores;
    this.#check.saves += saves;
    this.#check.restores += restores;
    this.#check.foldedSaves += Math.min(saves, restores);
    addToFunction(row, cause, saves, restores);
  }

  #addToSite(instruction: InstructionProfile, times: number): void {
    const site = this.#site(instruction.siteIndex);
    if (instruction.entersSite) site.executions += times;
    site.instructions += times;
    if (instruction.nop) site.nops += times;
    const { save } = instruction;
    if (save.kind !== 'counted') return;
    site.saves += save.saves * times;
    site.restores += save.restores * times;
  }

  #addToThunk(instruction: InstructionProfile, times: number): void {
    const op = this.#op(this.#index.thunks[instruction.thunkIndex]?.op ?? '');
    if (instruction.entersThunk) op.thunkEntries += times;
    op.thunkInstructions += times;
    const { save } = instruction;
    if (save.kind !== 'counted') return;
    op.thunkSaves += save.saves * times;
    op.thunkRestores += save.restores * times;
  }

  #addSiteToOp(site: SiteRow): void {
    const op = this.#op(site.op);
    op.executions += site.executions;
    op.siteInstructions += site.instructions;
    op.siteNops += site.nops;
    op.siteSaves += site.saves;
    op.siteRestores += site.restores;
  }

  #site(siteIndex: number): Mutable<SiteRow> {
    const known = this.#sites.get(siteIndex);
    if (known !== undefined) return known;
    const { address = '', function: name = '', op = '' } = this.#index.sites[siteIndex] ?? {};
    const counts = { executions: 0, instructions: 0, nops: 0, saves: 0, restores: 0, thunkEntries: 0 };
    const row = { address, function: name, op, ...counts };
    this.#sites.set(siteIndex, row);
    return row;
  }

  #op(op: string): Mutable<OpRow> {
    const known = this.#ops.get(op);
    if (known !== undefined) return known;
    const siteCounts = { executions: 0, siteInstructions: 0, siteNops: 0, siteSaves: 0, siteRestores: 0 };
    const row = { op, ...siteCounts, thunkEntries: 0, thunkInstructions: 0, thunkSaves: 0, thunkRestores: 0 };
    this.#ops.set(op, row);
    return row;
  }
}

/** In-site and thunk saves belong to an op, the others to a function (definitions §4). */
const addToFunction = (row: Mutable<FunctionRow>, cause: Cause, saves: number, restores: number): void => {
  if (cause === 'callee-frame') {
    row.calleeFrameSaves += saves;
    row.calleeFrameRestores += restores;
  }
  if (cause === 'spill') {
    row.spillSaves += saves;
    row.spillRestores += restores;
  }
  if (cause === 'entry-frame') {
    row.entryFrameSaves += saves;
    row.entryFrameRestores += restores;
  }
};
