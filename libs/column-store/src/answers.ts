import type { COUNTS, Counts, FRAME_SAVES, Mode, OP_COUNTS, SITE_COUNTS } from './statistics.js';

/** What a comparison or statistic may be split by; properties of the guest (columns of `guests`). */
export const DIMENSIONS = [
  'run',
  'guest',
  'type',
  'bits',
  'paging',
  'stage',
  'workload',
  'footprint',
  'iterations',
  'seed',
  'cpu',
] as const;
export type Dimension = (typeof DIMENSIONS)[number];
export const NUMERIC_DIMENSIONS: ReadonlySet<string> = new Set(['bits', 'iterations', 'seed']);

/** Values of the dimensions asked for. */
export type DimensionValues = Readonly<Partial<Record<Dimension, string | number>>>;

export type Comparison = DimensionValues &
  Counts & {
    readonly mode: Mode;
    /** How many guests the counts are summed over. */
    readonly guests: number;
    /** Executions of privileged instructions by kind. */
    readonly privileged: Readonly<Record<string, number>>;
    /** By vector. */
    readonly interrupts: Readonly<Record<string, number>>;
    readonly exceptions: Readonly<Record<string, number>>;
    /** By trap kind. */
    readonly traps: Readonly<Record<string, number>>;
    readonly ledgerSaves: number;
    readonly ledgerRestores: number;
    readonly ledgerNotSaves: number;
    readonly ledgerFoldedSaves: number;
    readonly ledgerStackMoves: number;
  };

/** Which table a statistic comes from. */
export type ByStatistics = 'op' | 'site' | 'function' | 'cause';

type CountsBy = {
  op: { readonly op: string } & Readonly<Record<(typeof OP_COUNTS)[number], number>>;
  site: { readonly address: string; readonly function: string; readonly op: string } & Readonly<
    Record<(typeof SITE_COUNTS)[number], number>
  >;
  function: { readonly function: string; readonly functionKind: string; readonly mode: Mode } & Readonly<
    Record<(typeof COUNTS)[number] | (typeof FRAME_SAVES)[number] | 'entries', number>
  >;
  cause: { readonly cause: string; readonly saves: number; readonly restores: number };
};
export type StatisticsRow<B extends ByStatistics> = DimensionValues & CountsBy[B];

export type Contribution = {
  /** The op, cause, function, or `function op address` of a site. */
  readonly name: string;
  readonly before: number;
  readonly after: number;
  /** after − before */
  readonly difference: number;
};

/** What is stored of a finished guest, step by step; an audit compares it with what the guest said it produced. */
export type StoredGuest = {
  readonly guest: string;
  /** Rows of chunks: received and analysed. */
  readonly chunks: number;
  readonly instructions: number;
  readonly bytes: number;
  /** Over the digests of the chunks in order, as the guest's own digest is. */
  readonly digest: string;
  /** By commit rows. */
  readonly committedUnits: number;
  readonly committedChunks: number;
  readonly committedInstructions: number;
  /** Of the measured region, from the totals and from the functions: equal. */
  readonly countedInstructions: number;
  readonly functionInstructions: number;
};

export type FootprintRow = {
  readonly guest: string;
  readonly type: string;
  readonly bits: number;
  readonly stage: string;
  readonly workload: string;
  readonly footprint: string;
  readonly kernelInstructions: number;
  readonly userInstructions: number;
  /** Distinct bytes of kernel text executed in the measured region. */
  readonly kernelTextBytes: number;
  /** Kernel data references, and those of them by rep string instructions. */
  readonly dataReferences: number;
  readonly repReferences: number;
  /** Distinct functions, call sites and ops executed. */
  readonly functions: number;
  readonly sites: number;
  /** Executions by op. */
  readonly executions: Readonly<Record<string, number>>;
};
