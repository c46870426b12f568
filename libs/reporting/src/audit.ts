import type { ColumnStore, StoredGuest } from '@pvtrail/column-store';
import { type EventOf, type GuestId, type RunId, TOPICS } from '@pvtrail/contracts';
import type { EventLogReader } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { lastEvent } from './guest-events.js';

/** What a step should have of a guest and what it has. */
export interface AuditDifference {
  readonly guestId: GuestId;
  readonly step: 'received' | 'committed' | 'aggregated';
  readonly field: string;
  readonly expected: number | string | null;
  readonly found: number | string | null;
}

interface Totals {
  readonly guests: number;
  readonly chunks: number;
  readonly instructions: number;
}

/** What the guests of a run produced, by their own events, beside what is stored of them at each step. */
export interface Audit {
  readonly runId: RunId;
  /** Every guest has ended, and nothing differs. */
  readonly clean: boolean;
  /** By the guests' WorkloadFinished. */
  readonly produced: Totals;
  /** By the rows of chunks, digests included. */
  readonly received: Totals;
  /** By the commit rows of insert units. */
  readonly committed: Totals;
  /** Of the measured regions, which are parts of what was produced: by the totals and by the functions. */
  readonly aggregated: { readonly instructions: number; readonly functionInstructions: number };
  readonly failedGuests: number;
  /** Requested, but neither finished nor failed: under way, or lost. */
  readonly openGuests: number;
  readonly differences: readonly AuditDifference[];
}

type Produced = EventOf<'WorkloadFinished'>['payload'];

/** @throws AppError `run/unknown`, `log/*`, `store/*` */
export const auditOf = async (log: EventLogReader, store: ColumnStore, runId: RunId): Promise<Audit> => {
  const requested = await lastEvent(log, TOPICS.runs, runId, 'RunRequested');
  if (requested === undefined) throw new AppError('run/unknown', `there is no run ${runId}`);
  const stored = new Map((await store.storedGuests(runId)).map((guest) => [guest.guest, guest]));
  const produced: Produced[] = [];
  const differences: AuditDifference[] = [];
  let failedGuests = 0;
  for (const guestId of requested.payload.guests) {
    const finished = await lastEvent(log, TOPICS.guests, guestId, 'WorkloadFinished');
    if (finished === undefined) {
      failedGuests += (await lastEvent(log, TOPICS.guests, guestId, 'GuestFailed')) === undefined ? 0 : 1;
      continue;
    }
    produced.push(finished.payload);
    differences.push(...differencesOf(finished.payload, stored.get(guestId)));
  }
  const openGuests = requested.payload.guests.length - produced.length - failedGuests;
  const rows = [...stored.values()];
  const sum = (of: (row: StoredGuest) => number): number => rows.reduce((total, row) => total + of(row), 0);
  return {
    runId,
    clean: differences.length === 0 && openGuests === 0,
    produced: {
      guests: produced.length,
      chunks: produced.reduce((total, { chunks }) => total + chunks, 0),
      instructions: produced.reduce((total, { instructions }) => total + instructions, 0),
    },
    received: {
      guests: rows.length,
      chunks: sum(({ chunks }) => chunks),
      instructions: sum((row) => row.instructions),
    },
    committed: {
      guests: rows.filter(({ committedUnits }) => committedUnits > 0).length,
      chunks: sum((row) => row.committedChunks),
      instructions: sum((row) => row.committedInstructions),
    },
    aggregated: {
      instructions: sum((row) => row.countedInstructions),
      functionInstructions: sum((row) => row.functionInstructions),
    },
    failedGuests,
    openGuests,
    differences,
  };
};

const differencesOf = (produced: Produced, stored: StoredGuest | undefined): AuditDifference[] => {
  const { guestId, chunks, instructions, bytes, digest } = produced;
  const pairs = [
    ['received', 'chunks', chunks, stored?.chunks],
    ['received', 'instructions', instructions, stored?.instructions],
    ['received', 'bytes', bytes, stored?.bytes],
    ['received', 'digest', digest, stored?.digest],
    ['committed', 'chunks', chunks, stored?.committedChunks],
    ['committed', 'instructions', instructions, stored?.committedInstructions],
    ['aggregated', 'instructions by function', stored?.countedInstructions, stored?.functionInstructions],
  ] as const;
  return pairs
    .filter(([, , expected, found]) => expected !== found)
    .map(([step, field, expected = null, found = null]) => ({ guestId, step, field, expected, found }));
};
