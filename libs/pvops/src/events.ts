import type { Brand, Digest } from '@pvtrail/primitives';
import type { KeptReason, SiteOutcome } from './patch-context.js';
import type { PvopName } from './pvop-catalogue.js';
import type { MeasuredStage, Optimisation, Stage } from './stages.js';

/** An event as the pure code knows it; id, time and trace context belong to the envelope around it. */
export interface PatchEventOf<Type extends string, Version extends number, Payload> {
  readonly type: Type;
  readonly version: Version;
  readonly payload: Payload;
}

/**
 * Whether the call sites were patched when an optimisation came or went: then they got their unpatched bytes back first, because an
 * optimisation's edits are those of an unpatched image.
 */
export type CallSitesMeanwhile = 'restored' | 'were-unpatched';

type GuestId = Brand<string, 'GuestId'>;

/** sequence: counts the guest's patch events from 0, so that equal changes at different times are different events. */
interface OfGuest {
  readonly guestId: GuestId;
  readonly sequence: number;
}

/** An optimisation came or went. stage: the one that it belongs to. patchSet: the hash that names its edits (docs/adr/004). */
interface OfOptimisation extends OfGuest {
  readonly optimisation: Optimisation;
  readonly stage: MeasuredStage;
  readonly patchSet: Digest;
  readonly callSites: CallSitesMeanwhile;
}

/** A patch set was folded into the guest's text. */
export type OptimisationApplied = PatchEventOf<'OptimisationApplied', 1, OfOptimisation>;

/** A call site and what became of it. Addresses are `0x` and 16 digits; bytes are lower-case hex without separators. */
export type PatchedSiteRecord = {
  readonly address: string;
  readonly length: number;
  readonly op: PvopName;
  readonly type: number;
  readonly clobbers: number;
  readonly bytesBefore: string;
  readonly bytesAfter: string;
  readonly nopBytes: number;
} & (
  | { readonly outcome: 'inline' | 'nop' | 'ud2' }
  | { readonly outcome: 'direct-call' | 'direct-jump'; readonly target: string }
  | { readonly outcome: 'unchanged'; readonly reason: KeptReason }
);

/** All call sites of a guest, patched or left, in the order of the records. */
export type CallSitesPatched = PatchEventOf<
  'CallSitesPatched',
  1,
  OfGuest & { readonly stage: Stage; readonly sites: readonly PatchedSiteRecord[] }
>;

/** The last optimisation was taken out again: its edits were undone, last first. */
export type OptimisationReverted = PatchEventOf<'OptimisationReverted', 1, OfOptimisation>;

/** The guest's text is final until something is reverted. */
export type PatchingCompleted = PatchEventOf<
  'PatchingCompleted',
  1,
  OfGuest & {
    readonly stage: Stage;
    /** Number of sites by outcome; the sum is the number of sites. */
    readonly outcomes: Readonly<Record<SiteOutcome, number>>;
  }
>;

export type PatchEvent = OptimisationApplied | CallSitesPatched | OptimisationReverted | PatchingCompleted;
