/**
 * What the analysis of an insert unit yields. Every figure is an exact count, a plain number ≤ 2⁵³, and belongs to the measured
 * region only (definitions §3). Units add up: rows with equal keys are summed, so a guest is the sum of its units.
 */
export interface UnitStatistics {
  /** Kernel (supervisor) and user mode apart. */
  readonly totals: Readonly<Record<Mode, Counts>>;
  readonly perFunction: readonly FunctionRow[];
  readonly perSite: readonly SiteRow[];
  readonly perOp: readonly OpRow[];
  readonly perCause: readonly CauseRow[];
  readonly privileged: readonly PrivilegedRow[];
  readonly events: readonly EventRow[];
  readonly ledger: LedgerCheck;
}

export const MODES = ['kernel', 'user'] as const;
export type Mode = (typeof MODES)[number];

/** The counts of a set of executed instructions; the same keys for a mode and for a function. */
export const COUNT_KEYS = [
  /** retired instructions; a nop and a rep string instruction are one each (definitions §4) */
  'instructions',
  'nops',
  'repInstructions',
  'repIterations',
  /** data references, one per element accessed and line touched; the CPU's frame pushes are among the writes */
  'dataReads',
  'dataWrites',
  /** those data references that rep string instructions made */
  'repReferences',
  /** those data writes that the CPU made when it delivered an interrupt or exception */
  'frameReferences',
  'l1iReferences',
  'l1iMisses',
  'l1dMisses',
  /** L2 misses of fetches and of data; L2 references are l1iMisses + l1dMisses */
  'l2InstructionMisses',
  'l2DataMisses',
  'l1dWriteBacks',
  'l2WriteBacks',
  /** executed conditional branches, indirect jumps and calls, and returns */
  'conditionalBranches',
  'indirectBranches',
  'returns',
  'conditionalMispredictions',
  'indirectMispredictions',
  'returnMispredictions',
  /** of the three kinds above, those followed at once by an interrupt or exception: their outcome is unknown and not scored */
  'unscoredBranches',
  /** text bytes executed for the first time in the measured region: over all units, the distinct bytes executed */
  'newTextBytes',
] as const;
export type CountKey = (typeof COUNT_KEYS)[number];
export type Counts = Readonly<Record<CountKey, number>>;

export const CAUSES = ['in-site', 'thunk', 'callee-frame', 'spill', 'entry-frame'] as const;
export type Cause = (typeof CAUSES)[number];

/** Key: function + mode. `function` is '' for code outside the catalogue (`functionKind` unknown) and for the CPU's own frame pushes (cpu). */
export interface FunctionRow extends Counts {
  readonly function: string;
  readonly functionKind: FunctionKind;
  readonly mode: Mode;
  /** how often the function's first instruction was executed */
  readonly entries: number;
  readonly calleeFrameSaves: number;
  readonly calleeFrameRestores: number;
  readonly spillSaves: number;
  readonly spillRestores: number;
  readonly entryFrameSaves: number;
  readonly entryFrameRestores: number;
}
export type FunctionKind = 'c' | 'asm' | 'op' | 'thunk' | 'entry' | 'user' | 'unknown' | 'cpu';

/** Key: address (0x and 16 digits). */
export interface SiteRow {
  readonly address: string;
  readonly function: string;
  readonly op: string;
  /** how often the site's first byte was executed */
  readonly executions: number;
  /** executed inside the site's bytes, nops included */
  readonly instructions: number;
  readonly nops: number;
  /** in-site saves and restores */
  readonly saves: number;
  readonly restores: number;
  /** calls from this site that arrived at a callee-save thunk */
  readonly thunkEntries: number;
}

/** Key: op. Sums over the op's sites, and what its callee-save thunks executed. */
export interface OpRow {
  readonly op: string;
  readonly executions: number;
  readonly siteInstructions: number;
  readonly siteNops: number;
  readonly siteSaves: number;
  readonly siteRestores: number;
  readonly thunkEntries: number;
  readonly thunkInstructions: number;
  readonly thunkSaves: number;
  readonly thunkRestores: number;
}

/** Key: cause. All five causes are present. */
export interface CauseRow {
  readonly cause: Cause;
  readonly saves: number;
  readonly restores: number;
}

/** Key: kind + mode; `kind` is a row of the cost model's table of privileged instructions. */
export interface PrivilegedRow {
  readonly kind: string;
  readonly mode: Mode;
  readonly count: number;
}

/** Key: kind + number: interrupts and exceptions by vector, traps to the hypervisor by trap kind (255: and all above). */
export interface EventRow {
  readonly kind: 'interrupt' | 'exception' | 'trap';
  readonly number: number;
  readonly count: number;
}

/**
 * Executed pushes, pops and other accesses of kernel code to memory addressed by the stack pointer (call, ret, pushf, popf are none).
 * `stackMoves` is counted by a separate decoder: saves + restores + notSaves − foldedSaves = stackMoves always holds.
 */
export interface LedgerCheck {
  readonly saves: number;
  readonly restores: number;
  readonly notSaves: number;
  /** instructions that restore and save a spilled value at once (`add %rax,8(%rsp)`) */
  readonly foldedSaves: number;
  readonly stackMoves: number;
}

export const noCounts = (): Record<CountKey, number> =>
  Object.fromEntries(COUNT_KEYS.map((key) => [key, 0])) as Record<CountKey, number>;

/** The statistics of a region in which nothing was executed: the zero of `addUnits`. */
export const emptyUnit = (): UnitStatistics => ({
  totals: { kernel: noCounts(), user: noCounts() },
  perFunction: [],
  perSite: [],
  perOp: [],
  perCause: CAUSES.map((cause) => ({ cause, saves: 0, restores: 0 })),
  privileged: [],
  events: [],
  ledger: { saves: 0, restores: 0, notSaves: 0, foldedSaves: 0, stackMoves: 0 },
});

/** The sum of two units, rows ordered by key. */
export const addUnits = (a: UnitStatistics, b: UnitStatistics): UnitStatistics => ({
  totals: { kernel: sum(a.totals.kernel, b.totals.kernel), user: sum(a.totals.user, b.totals.user) },
  perFunction: addRows(a.perFunction, b.perFunction, (row) => `${row.function}\0${row.functionKind}\0${row.mode}`),
  perSite: addRows(a.perSite, b.perSite, (row) => row.address),
  perOp: addRows(a.perOp, b.perOp, (row) => row.op),
  perCause: CAUSES.map((cause) =>
    [...a.perCause, ...b.perCause].filter((row) => row.cause === cause).reduce((x, y) => sum(x, y)),
  ),
  privileged: addRows(a.privileged, b.privileged, (row) => `${row.kind}\0${row.mode}`),
  events: addRows(a.events, b.events, (row) => `${row.kind}\0${String(row.number).padStart(3, '0')}`, ['number']),
  ledger: sum(a.ledger, b.ledger),
});

const addRows = <T extends object>(
  a: readonly T[],
  b: readonly T[],
  keyOf: (row: T) => string,
  kept: readonly string[] = [],
): T[] => {
  const rows = new Map<string, T>();
  for (const row of [...a, ...b]) {
    const key = keyOf(row);
    const known = rows.get(key);
    rows.set(key, known === undefined ? row : sum(known, row, kept));
  }
  return [...rows].sort(([x], [y]) => (x < y ? -1 : x > y ? 1 : 0)).map(([, row]) => row);
};

/** Adds the numeric members; the others, and those `kept`, are taken from `a`. */
const sum = <T extends object>(a: T, b: T, kept: readonly string[] = []): T =>
  Object.fromEntries(
    Object.entries(a).map(([key, value]) => {
      const other: unknown = b[key as keyof T];
      const adds = typeof value === 'number' && typeof other === 'number' && !kept.includes(key);
      return [key, adds ? value + other : value];
    }),
  ) as T;
