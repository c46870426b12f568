import type { ColumnStore, EndedGuest } from '@pvtrail/column-store';
import type { GuestId, RunId } from '@pvtrail/contracts';

/** A guest of a run that ran to its end. */
export interface RunGuest {
  readonly guestId: GuestId;
  readonly guest: string;
  readonly bits: 32 | 64;
  readonly stage: string;
  readonly workload: string;
  readonly footprint: string;
  readonly seed: number;
  /** SHA-256 over the digests of the chunks. */
  readonly digest: string;
  readonly instructions: number;
  readonly chunks: number;
  /** Of the compressed chunks. */
  readonly bytes: number;
}

/** In the order of the fleet. */
export const runGuests = async (store: ColumnStore, runId: RunId): Promise<RunGuest[]> =>
  (await store.guests(runId)).filter((guest) => guest.state === 'finished').map(runGuest);

const runGuest = ({
  guestId,
  spec,
  digest,
  instructions,
  chunks,
  bytes,
}: Extract<EndedGuest, { state: 'finished' }>): RunGuest => ({
  guestId,
  guest: spec.type,
  bits: spec.bits,
  stage: spec.stage,
  workload: spec.workload,
  footprint: spec.footprint,
  seed: spec.seed,
  digest,
  instructions,
  chunks,
  bytes,
});
