/**
 * The statistics of an insert unit as the store takes them; `UnitStatistics` of the analysis is assignable to it.
 * All figures are exact counts; meaning and unit of each: the column comments in migrations/.
 */

const MODES = ['kernel', 'user'] as const;
export type Mode = (typeof MODES)[number];

/** The counts that `unit_totals` and `function_statistics` share. */
export const COUNTS = [
  'instructions',
  'nops',
  'repInstructions',
  'repIterations',
  'dataReads',
  'dataWrites',
  'repReferences',
  'frameReferences',
  'l1iReferences',
  'l1iMisses',
  'l1dMisses',
  'l2InstructionMisses',
  'l2DataMisses',
  'l1dWriteBacks',
  'l2WriteBacks',
  'conditionalBranches',
  'indirectBranches',
  'returns',
  'conditionalMispredictions',
  'indirectMispredictions',
  'returnMispredictions',
  'unscoredBranches',
  'newTextBytes',
] as const;
export type Counts = Readonly<Record<(typeof COUNTS)[number], number>>;

export const FRAME_SAVES = [
  'calleeFrameSaves',
  'calleeFrameRestores',
  'spillSaves',
  'spillRestores',
  'entryFrameSaves',
  'entryFrameRestores',
] as const;

export const SITE_COUNTS = ['executions', 'instructions', 'nops', 'saves', 'restores', 'thunkEntries'] as const;

export const OP_COUNTS = [
  'executions',
  'siteInstructions',
  'siteNops',
  'siteSaves',
  'siteRestores',
  'thunkEntries',
  'thunkInstructions',
  'thunkSaves',
  'thunkRestores',
] as const;

export type FunctionRow = Counts &
  Readonly<Record<(typeof FRAME_SAVES)[number] | 'entries', number>> & {
    readonly function: string;
    readonly functionKind: string;
    readonly mode: Mode;
  };
export type SiteRow = Readonly<Record<(typeof SITE_COUNTS)[number], number>> & {
  readonly address: string;
  readonly function: string;
  readonly op: string;
};
export type OpRow = Readonly<Record<(typeof OP_COUNTS)[number], number>> & { readonly op: string };
type CauseRow = { readonly cause: string; readonly saves: number; readonly restores: number };
export type PrivilegedRow = { readonly kind: string; readonly mode: Mode; readonly count: number };
export type MachineEventRow = {
  readonly kind: 'interrupt' | 'exception' | 'trap';
  readonly number: number;
  readonly count: number;
};
type LedgerCheck = Readonly<Record<'saves' | 'restores' | 'notSaves' | 'foldedSaves' | 'stackMoves', number>>;

export type UnitStatistics = {
  readonly totals: Readonly<Record<Mode, Counts>>;
  readonly perFunction: readonly FunctionRow[];
  readonly perSite: readonly SiteRow[];
  readonly perOp: readonly OpRow[];
  readonly perCause: readonly CauseRow[];
  readonly privileged: readonly PrivilegedRow[];
  readonly events: readonly MachineEventRow[];
  readonly ledger: LedgerCheck;
};
