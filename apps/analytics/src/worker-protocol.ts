import type { UnitStatistics } from '@pvtrail/analysis';
import type { GuestId, GuestSpec } from '@pvtrail/contracts';

/** What the service tells a worker; each `chunk` and `close` is about an opened guest. */
export type ToWorker =
  | {
      readonly kind: 'open';
      readonly guestId: GuestId;
      readonly spec: GuestSpec;
      /** The state to go on from; undefined at the beginning of the guest's trace. */
      readonly checkpoint: Uint8Array | undefined;
    }
  | { readonly kind: 'chunk'; readonly guestId: GuestId; readonly value: Uint8Array; readonly endsUnit: boolean }
  | { readonly kind: 'close'; readonly guestId: GuestId };

/** The answer to each `chunk`, in order. */
export type FromWorker =
  | { readonly kind: 'analysed'; readonly guestId: GuestId; readonly unit: UnitResult | undefined }
  | { readonly kind: 'refused'; readonly guestId: GuestId; readonly code: string; readonly message: string };

export interface UnitResult {
  readonly statistics: UnitStatistics;
  readonly checkpoint: Uint8Array;
}

export interface WorkerStart {
  /** Where the guest kernels are; undefined: those that come with pvtrail. */
  readonly imagesRoot: string | undefined;
}
