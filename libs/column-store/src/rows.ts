import { type AnyEvent, type GuestId, parseEvent, parseGuestSpec, type RunId } from '@pvtrail/contracts';
import { AppError, canonicalJson, type Digest } from '@pvtrail/primitives';
import { NUMERIC_DIMENSIONS } from './answers.js';
import type { CommittedUnit, EndedGuest, RunRow, Unit } from './port.js';
import type { MachineEventRow, PrivilegedRow } from './statistics.js';

/** Bumped when the meaning of a stored figure changes; part of every deduplication token. */
export const STORE_SCHEMA_VERSION = 2;

type Row = Readonly<Record<string, unknown>>;

const privilegedOf = (rows: readonly PrivilegedRow[], mode: string): Record<string, number> =>
  Object.fromEntries(rows.filter((row) => row.mode === mode).map(({ kind, count }) => [kind, count]));

const eventsOf = (rows: readonly MachineEventRow[], kind: MachineEventRow['kind']): Record<string, number> =>
  Object.fromEntries(rows.filter((row) => row.kind === kind).map(({ number, count }) => [number, count]));

const totalsRows = ({ totals, privileged, events, ledger }: Unit['statistics']): Row[] => [
  {
    mode: 'kernel',
    ...totals.kernel,
    privileged: privilegedOf(privileged, 'kernel'),
    interrupts: eventsOf(events, 'interrupt'),
    exceptions: eventsOf(events, 'exception'),
    traps: eventsOf(events, 'trap'),
    ledgerSaves: ledger.saves,
    ledgerRestores: ledger.restores,
    ledgerNotSaves: ledger.notSaves,
    ledgerFoldedSaves: ledger.foldedSaves,
    ledgerStackMoves: ledger.stackMoves,
  },
  {
    mode: 'user',
    ...totals.user,
    privileged: privilegedOf(privileged, 'user'),
    interrupts: {},
    exceptions: {},
    traps: {},
    ledgerSaves: 0,
    ledgerRestores: 0,
    ledgerNotSaves: 0,
    ledgerFoldedSaves: 0,
    ledgerStackMoves: 0,
  },
];

/** Arrays of the values that rows of one shape have under each name: `group.name`. */
const columnsOf = (group: string, rows: readonly object[]): Row => {
  const records = rows as readonly Row[];
  const names = Object.keys(records[0] ?? {});
  return Object.fromEntries(names.map((name) => [`${group}.${name}`, records.map((row) => row[name])]));
};

/** The one row of a unit. */
export const toUnitRow = ({ guestId, unit, chunks, statistics, checkpoint, last }: Unit): Row => ({
  guest: guestId,
  unit,
  schemaVersion: STORE_SCHEMA_VERSION,
  firstChunk: chunks[0]?.sequence ?? 0,
  chunks: chunks.length,
  instructions: chunks.reduce((sum, { instructions }) => sum + instructions, 0),
  last,
  checkpoint: Buffer.from(checkpoint.buffer, checkpoint.byteOffset, checkpoint.byteLength).toString('base64'),
  ...columnsOf('perChunk', chunks),
  ...columnsOf('perMode', totalsRows(statistics)),
  ...columnsOf('perFunction', statistics.perFunction),
  ...columnsOf('perSite', statistics.perSite),
  ...columnsOf('perOp', statistics.perOp),
  ...columnsOf('perCause', statistics.perCause),
});

export const fromCheckpoint = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));

/** A count as ClickHouse writes it (64-bit numbers are quoted). @throws AppError `store/query-failed` beyond 2⁵³ */
export const toCount = (value: unknown): number => {
  const count = Number(value);
  if (!Number.isSafeInteger(count)) throw new AppError('store/query-failed', `no exact count: ${String(value)}`);
  return count;
};

export const fromCommitRow = (row: Row): CommittedUnit => ({
  unit: toCount(row.unit),
  firstChunk: toCount(row.firstChunk),
  chunks: toCount(row.chunks),
  instructions: toCount(row.instructions),
  last: row.last === true,
});

/** Where the inserts of a guest stand. */
export type GuestProgress = {
  /** Stored ones, from 0 without gaps. */
  readonly units: number;
  /** Sequence of the first chunk after them. */
  readonly nextChunk: number;
  /** Whether the guest's trace ends with the last of them. */
  readonly complete: boolean;
  /** How often the guest was removed to be computed again. */
  readonly generation: number;
};

export const toGuestRow = (guest: EndedGuest): Row => {
  const { spec } = guest;
  const finished = guest.state === 'finished';
  return {
    run: guest.runId,
    guest: guest.guestId,
    fleetIndex: guest.index,
    type: spec.type,
    bits: spec.bits,
    paging: spec.paging,
    stage: spec.stage,
    workload: spec.workload,
    footprint: spec.footprint,
    iterations: spec.iterations,
    seed: spec.seed,
    cpu: spec.cpu,
    spec: canonicalJson(spec),
    image: guest.image,
    state: guest.state,
    errorCode: finished ? '' : guest.errorCode,
    digest: finished ? guest.digest : '',
    instructions: finished ? guest.instructions : 0,
    chunks: finished ? guest.chunks : 0,
    bytes: finished ? guest.bytes : 0,
    rawBytes: finished ? guest.rawBytes : 0,
  };
};

export const fromGuestRow = (row: Row): EndedGuest => {
  const identity = {
    runId: row.run as RunId,
    guestId: row.guest as GuestId,
    index: toCount(row.fleetIndex),
    spec: parseGuestSpec(JSON.parse(String(row.spec))),
    image: row.image as Digest,
  };
  if (row.state === 'failed') return { ...identity, state: 'failed', errorCode: String(row.errorCode) };
  return {
    ...identity,
    state: 'finished',
    digest: row.digest as Digest,
    instructions: toCount(row.instructions),
    chunks: toCount(row.chunks),
    bytes: toCount(row.bytes),
    rawBytes: toCount(row.rawBytes),
  };
};

export const fromRunRow = (row: Row): RunRow => ({
  runId: row.run as RunId,
  finished: toCount(row.finished),
  failed: toCount(row.failed),
  instructions: toCount(row.instructions),
});

export const toEventRow = ({ id, type, version, time, runId, subject, payload }: AnyEvent): Row => ({
  id,
  type,
  version,
  time,
  run: runId,
  subject,
  payload: canonicalJson(payload),
});

export const fromEventRow = ({ id, type, version, timeMs, run, subject, payload }: Row): AnyEvent =>
  parseEvent(
    { id, type, version, time: new Date(toCount(timeMs)).toISOString(), runId: run, subject },
    JSON.parse(String(payload)),
  );

const fromMap = (map: object): Record<string, number> =>
  Object.fromEntries(Object.entries(map).map(([key, count]) => [key, toCount(count)]));

/**
 * A row of counts: `texts` and the textual dimensions stay text, maps become records of counts, the rest are counts.
 * @throws AppError `store/query-failed`
 */
export const fromCountsRow = (row: Row, texts: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (texts.includes(name) && !NUMERIC_DIMENSIONS.has(name)) return [name, value];
      return [name, typeof value === 'object' && value !== null ? fromMap(value) : toCount(value)];
    }),
  );
