import type { ChunkProduced, GuestId, GuestSpec, PayloadOf, RunId } from '@pvtrail/contracts';

/** What the service tells a worker. A worker has one guest at a time. */
export type ToWorker =
  | {
      readonly kind: 'execute';
      readonly guestId: GuestId;
      readonly runId: RunId;
      readonly spec: GuestSpec;
      /** Applied before boot, in order. */
      readonly optimisations: readonly PayloadOf<'OptimisationApplied'>[];
    }
  | { readonly kind: 'patch'; readonly sites: PayloadOf<'CallSitesPatched'>['sites'] };

/** What a worker reports of its guest. */
export type FromWorker =
  | { readonly kind: 'booted'; readonly instructions: number; readonly discovery: Discovery }
  | { readonly kind: 'workload-started'; readonly instructions: number }
  | { readonly kind: 'chunk'; readonly chunk: ChunkProduced; readonly value: Uint8Array }
  | { readonly kind: 'finished'; readonly summary: GuestSummary }
  | { readonly kind: 'failed'; readonly failure: Omit<PayloadOf<'GuestFailed'>, 'guestId'> };

export type Discovery = Omit<PayloadOf<'CallSitesDiscovered'>, 'guestId'>;
type GuestSummary = Omit<PayloadOf<'WorkloadFinished'>, 'guestId'>;

export interface WorkerStart {
  /** Where the guest kernels are; undefined: those that come with pvtrail. */
  readonly imagesRoot: string | undefined;
  /** One Int32: chunks that the worker may still hand over before it must wait. */
  readonly credits: SharedArrayBuffer;
}

/** Chunks of one worker that may be on their way: bounds memory when the analysis is slower than the guests. */
export const CHUNKS_IN_FLIGHT = 8;
