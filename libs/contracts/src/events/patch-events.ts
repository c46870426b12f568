import { OPTIMISATIONS, type PatchEvent } from '@pvtrail/pvops';
import { z } from 'zod';
import { eventType } from '../event.js';
import { address, count, digest, hexBytes } from '../fields.js';
import { guestIdSchema } from '../ids.js';
import { TOPICS } from '../topics.js';
import { STAGES } from '../vocabulary.js';

/** Measured stages, and P6 as it was posted: for the tests of its defects only (definitions.md §1). */
const patchStage = z.enum([...STAGES, 'callee-save-pte-as-posted']);
const optimisation = z.enum(OPTIMISATIONS.map(({ name }) => name));
/** Whether the call sites got their unpatched bytes back before the text changed. */
const callSites = z.enum(['restored', 'were-unpatched']);

/** Why a call site kept its code or got less than an inline body (definitions.md §5: a closed list). */
export const SITE_REASONS = [
  'clobber-test',
  'shorter-than-5',
  'template-does-not-fit',
  'hook-declines',
  'kept-by-stage',
] as const;

export const SITE_OUTCOMES = ['inline', 'nop', 'direct-call', 'direct-jump', 'unchanged', 'ud2'] as const;

/** An optimisation came or went. */
const optimisationSchema = z.strictObject({
  guestId: guestIdSchema,
  sequence: count,
  optimisation,
  stage: z.enum(STAGES),
  patchSet: digest,
  callSites,
});

/** A patch set was applied to the text; `sequence` counts the guest's patch events from 0. */
const optimisationApplied = eventType('OptimisationApplied', TOPICS.patches, optimisationSchema);

const siteFields = {
  address,
  length: count.min(1).max(254),
  op: z.string().min(1),
  type: count.max(255),
  clobbers: count.max(0xffff),
  bytesBefore: hexBytes,
  bytesAfter: hexBytes,
  nopBytes: count,
};

const patchedSiteSchema = z.discriminatedUnion('outcome', [
  z.strictObject({ ...siteFields, outcome: z.enum(['inline', 'nop', 'ud2']) }),
  z.strictObject({ ...siteFields, outcome: z.enum(['direct-call', 'direct-jump']), target: address }),
  z.strictObject({ ...siteFields, outcome: z.literal('unchanged'), reason: z.enum(SITE_REASONS) }),
]);

/** All call sites of a guest were patched or left; both images are kept so that a replay can prove it. */
const callSitesPatched = eventType(
  'CallSitesPatched',
  TOPICS.patches,
  z.strictObject({ guestId: guestIdSchema, sequence: count, stage: patchStage, sites: z.array(patchedSiteSchema) }),
);

/** A patch set was taken back. */
const optimisationReverted = eventType('OptimisationReverted', TOPICS.patches, optimisationSchema);

/** No further patch follows before the workload; `outcomes` counts the sites. */
const patchingCompleted = eventType(
  'PatchingCompleted',
  TOPICS.patches,
  z.strictObject({
    guestId: guestIdSchema,
    sequence: count,
    stage: patchStage,
    outcomes: z.record(z.enum(SITE_OUTCOMES), count),
  }),
);

export const PATCH_EVENTS = [optimisationApplied, callSitesPatched, optimisationReverted, patchingCompleted] as const;

/** The patcher's events and these schemas are the same thing, type by type: the compiler says so, or this does not build. */
type Pure<T extends PatchEvent['type']> = WithArrays<Extract<PatchEvent, { type: T }>['payload']>;
/** A schema's arrays may be changed, those of an event may not. */
type WithArrays<P> = { [K in keyof P]: P[K] extends readonly (infer Item)[] ? Item[] : P[K] };
type Stored<T extends PatchEvent['type']> = z.input<Extract<(typeof PATCH_EVENTS)[number], { type: T }>['schema']>;
type Mirrors = { readonly [T in PatchEvent['type']]: [Pure<T>] extends [Stored<T>] ? true : never };
const mirrors: Mirrors = {
  OptimisationApplied: true,
  CallSitesPatched: true,
  OptimisationReverted: true,
  PatchingCompleted: true,
};
void mirrors;
