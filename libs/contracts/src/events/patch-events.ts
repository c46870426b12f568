import { z } from 'zod';
import { eventType } from '../event.js';
import { address, count, digest, hexBytes } from '../fields.js';
import { guestIdSchema } from '../ids.js';
import { TOPICS } from '../topics.js';
import { STAGES } from '../vocabulary.js';

/** Why a call site kept its code or got less than an inline body (definitions.md §5: a closed list). */
export const SITE_REASONS = [
  'clobber-test',
  'shorter-than-5',
  'template-does-not-fit',
  'hook-declines',
  'kept-by-stage',
] as const;

export const SITE_OUTCOMES = ['inline', 'nop', 'direct-call', 'direct-jump', 'unchanged', 'ud2'] as const;

/** A patch set was applied to the text; `sequence` counts the guest's patch events from 0. */
export const optimisationApplied = eventType(
  'OptimisationApplied',
  TOPICS.patches,
  z.strictObject({
    guestId: guestIdSchema,
    sequence: count,
    optimisation: z.string().min(1),
    stage: z.enum(STAGES),
    patchSet: digest,
  }),
);

export const patchedSiteSchema = z.strictObject({
  address,
  bytesBefore: hexBytes,
  bytesAfter: hexBytes,
  outcome: z.enum(SITE_OUTCOMES),
  reason: z.enum(SITE_REASONS).optional(),
  nopBytes: count,
  target: address.optional(),
});

/** All call sites of a guest were patched or left; both images are kept so that a replay can prove it. */
export const callSitesPatched = eventType(
  'CallSitesPatched',
  TOPICS.patches,
  z.strictObject({ guestId: guestIdSchema, sequence: count, sites: z.array(patchedSiteSchema) }),
);

/** A patch set was taken back. */
export const optimisationReverted = eventType(
  'OptimisationReverted',
  TOPICS.patches,
  z.strictObject({ guestId: guestIdSchema, sequence: count, optimisation: z.string().min(1), patchSet: digest }),
);

/** No further patch follows before the workload; `text` is the digest of the patched loadable contents. */
export const patchingCompleted = eventType(
  'PatchingCompleted',
  TOPICS.patches,
  z.strictObject({ guestId: guestIdSchema, sequence: count, text: digest.optional() }),
);

export const PATCH_EVENTS = [optimisationApplied, callSitesPatched, optimisationReverted, patchingCompleted] as const;
