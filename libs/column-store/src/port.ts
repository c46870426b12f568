import type { AnyEvent, GuestId, GuestSpec, RunId } from '@pvtrail/contracts';
import type { Digest } from '@pvtrail/primitives';
import type { ByStatistics, Comparison, Contribution, FootprintRow, StatisticsRow, StoredGuest } from './answers.js';
import type { ComparisonQuery, ContributionQuery, StatisticsQuery } from './queries.js';
import type { UnitStatistics } from './statistics.js';

export type ChunkRow = {
  readonly sequence: number;
  readonly instructions: number;
  readonly rawBytes: number;
  readonly bytes: number;
  readonly digest: Digest;
};

/** A fixed run of a guest's chunks, analysed: what is inserted at once or not at all. */
export type Unit = {
  readonly guestId: GuestId;
  /** From 0, without gaps. */
  readonly unit: number;
  /** In order of sequence, at least one. */
  readonly chunks: readonly ChunkRow[];
  readonly statistics: UnitStatistics;
  /** The simulator's state after the last chunk: from it another process goes on. */
  readonly checkpoint: Uint8Array;
  /** Whether the guest's trace ends with it. */
  readonly last: boolean;
};

/** Where a guest's analysis goes on. */
export type ResumePoint =
  | { readonly kind: 'beginning' }
  | { readonly kind: 'after-unit'; readonly unit: number; readonly nextChunk: number; readonly checkpoint: Uint8Array }
  | { readonly kind: 'complete'; readonly units: number };

export type CommittedUnit = {
  readonly unit: number;
  readonly firstChunk: number;
  readonly chunks: number;
  readonly instructions: number;
  readonly last: boolean;
};

type GuestIdentity = {
  readonly runId: RunId;
  readonly guestId: GuestId;
  readonly index: number;
  readonly spec: GuestSpec;
  readonly image: Digest;
};

/** A guest that has ended. */
export type EndedGuest = GuestIdentity &
  (
    | {
        readonly state: 'finished';
        readonly digest: Digest;
        readonly instructions: number;
        readonly chunks: number;
        readonly bytes: number;
        readonly rawBytes: number;
      }
    | { readonly state: 'failed'; readonly errorCode: string }
  );

export type RunRow = {
  readonly runId: RunId;
  readonly finished: number;
  readonly failed: number;
  readonly instructions: number;
};

/**
 * Where statistics are kept and asked for. Queries see whole units only.
 * Errors of every method: `store/unavailable`, `store/disk-full`, `store/query-failed`.
 */
export interface ColumnStore {
  /**
   * Inserts a unit, all of it or nothing. One whose insert failed, or whose answer was lost, is inserted again: no row is twice.
   * @returns 'known' when it was committed before and nothing was done
   * @throws RangeError for a unit that is not the guest's next
   */
  insertUnit(unit: Unit): Promise<'inserted' | 'known'>;
  committedUnits(guest: GuestId): Promise<CommittedUnit[]>;
  /** The state stored with a committed unit, or undefined. */
  loadCheckpoint(guest: GuestId, unit: number): Promise<Uint8Array | undefined>;
  resumePoint(guest: GuestId): Promise<ResumePoint>;

  /** Notes that a guest has ended; its statistics are part of comparisons from then on. Noting it again does nothing. */
  insertGuest(guest: EndedGuest): Promise<void>;
  guests(run: RunId): Promise<EndedGuest[]>;
  runs(): Promise<RunRow[]>;
  /** Copies events for queries; those with a known id are skipped. */
  insertEvents(events: readonly AnyEvent[]): Promise<void>;
  /** In order of time. */
  events(run: RunId): Promise<AnyEvent[]>;

  /** Removes every row of these guests, so that they can be computed again under the same ids. */
  forget(guests: readonly GuestId[]): Promise<void>;

  /** Counts of finished guests, summed over units, one row per mode and combination of the dimensions. */
  comparison(query: ComparisonQuery): Promise<Comparison[]>;
  /** Counts by op, site, function or cause and by the dimensions. */
  statistics<B extends ByStatistics>(query: StatisticsQuery<B>): Promise<StatisticsRow<B>[]>;
  /** What changed most between two stages. */
  contributions(query: ContributionQuery): Promise<Contribution[]>;
  /** How big and how varied the executed code was (definitions.md §3). */
  footprints(run: RunId): Promise<FootprintRow[]>;
  /** What is stored of each finished guest at each step, in the order of the fleet. */
  storedGuests(run: RunId): Promise<StoredGuest[]>;

  ping(): Promise<void>;
  /** Waits for what is running, then closes. */
  close(): Promise<void>;
}
