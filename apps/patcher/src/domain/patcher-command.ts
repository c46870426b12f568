import type { CallSite, GuestType, MeasuredStage, OptimisationApplied, PatchContext, PatchSet } from '@pvtrail/pvops';

export type GuestId = OptimisationApplied['payload']['guestId'];
type PatchSetHash = OptimisationApplied['payload']['patchSet'];

/** What may be asked of one guest's patcher. Asking again for what is done already is answered with no events. */
export type PatcherCommand =
  | {
      readonly kind: 'apply-optimisation';
      readonly guestId: GuestId;
      readonly guestType: GuestType;
      readonly optimisation: string;
      readonly patchSet: PatchSetHash;
    }
  | {
      /** All optimisations that lead to the stage and are not applied yet. */
      readonly kind: 'bring-to-stage';
      readonly guestId: GuestId;
      readonly guestType: GuestType;
      readonly stage: MeasuredStage;
      readonly patchSets: readonly Pick<PatchSet, 'optimisation' | 'hash'>[];
    }
  | {
      /** Patches all call sites as the guest's kernel does at boot, and completes the patching. */
      readonly kind: 'patch-call-sites';
      readonly guestId: GuestId;
      readonly context: PatchContext;
      readonly sites: readonly CallSite[];
    }
  | {
      /** Takes the last optimisation out again. */
      readonly kind: 'revert-optimisation';
      readonly guestId: GuestId;
      readonly optimisation: string;
    };
