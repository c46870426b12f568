import { z } from 'zod';
import { eventType } from '../event.js';
import { address, count, digest, failure, hexBytes } from '../fields.js';
import { guestSpecSchema } from '../fleet.js';
import { guestIdSchema, runIdSchema } from '../ids.js';
import { TOPICS } from '../topics.js';
import { FOOTPRINTS, WORKLOADS } from '../vocabulary.js';

/** A guest of a run is to be booted: `index` is its place in the expanded fleet, `image` the digest of its ELF image. */
const guestRequested = eventType(
  'GuestRequested',
  TOPICS.guests,
  z.strictObject({
    guestId: guestIdSchema,
    runId: runIdSchema,
    index: count,
    spec: z.unknown().pipe(guestSpecSchema),
    image: digest,
  }),
);

/** The guest reached its boot marker; its text may be patched now. */
const guestBooted = eventType(
  'GuestBooted',
  TOPICS.guests,
  z.strictObject({ guestId: guestIdSchema, image: digest, instructions: count }),
);

/** How a call site's record and code are shaped (adr/004). */
export const RECORD_TYPES = ['c', 'c-callee-save', 'c-irq', 'asm-call', 'asm-jump'] as const;

const callSiteSchema = z.strictObject({
  address,
  /** Bytes that may be patched. */
  length: count.min(2).max(254),
  /** The op's slot number in the template. */
  type: count.max(255),
  clobbers: count.max(0xffff),
  bytes: hexBytes,
  op: z.string().min(1),
  function: z.string().min(1),
  recordType: z.enum(RECORD_TYPES),
});

/** What the patch hook of a Xen guest must know (domain.md §5.2). */
const xenSideSchema = z.strictObject({
  /** Its vcpu_info is in its own per-CPU area, so the direct irq ops can be used. */
  vcpuPlacement: z.boolean(),
  /** Offset of vcpu_info in the per-CPU segment. */
  vcpuInfo: address,
  checkEvents: address,
});

/**
 * The patch records of the booted image, in section order, and what the patcher must know besides: where each slot of the op table
 * points (0: a missing op), the functions whose address in a slot means something to it, and what the hook of the guest's type asks for.
 */
const callSitesDiscovered = eventType(
  'CallSitesDiscovered',
  TOPICS.guests,
  z.strictObject({
    guestId: guestIdSchema,
    sites: z.array(callSiteSchema),
    opTable: z.array(z.strictObject({ type: count.max(255), target: address })),
    special: z.strictObject({ nop: address, ident32: address.optional(), ident64: address.optional() }).optional(),
    xen: xenSideSchema.optional(),
  }),
  // version 1 knew native guests only
  [(payload) => payload],
);

/** The counted region begins; `instructions` retired before it. */
const workloadStarted = eventType(
  'WorkloadStarted',
  TOPICS.guests,
  z.strictObject({
    guestId: guestIdSchema,
    workload: z.enum(WORKLOADS),
    footprint: z.enum(FOOTPRINTS),
    iterations: count,
    instructions: count,
  }),
);

/** The guest ended well: `digest` over its chunks' digests, totals of the whole trace from boot to exit, `bytes` compressed. */
const workloadFinished = eventType(
  'WorkloadFinished',
  TOPICS.guests,
  z.strictObject({ guestId: guestIdSchema, digest, instructions: count, chunks: count, bytes: count, rawBytes: count }),
);

const executedBlockSchema = z.strictObject({ address, bytes: hexBytes, mode: z.enum(['kernel', 'user']) });

/** The guest failed, hung or ran over its budget; `lastBlocks` are at most 16, oldest first. */
const guestFailed = eventType(
  'GuestFailed',
  TOPICS.guests,
  z.strictObject({
    guestId: guestIdSchema,
    ...failure,
    registers: z.record(z.string(), address),
    lastBlocks: z.array(executedBlockSchema).max(16),
  }),
);

/** Every statistic of the guest is stored, or it is noted as failed; written by the analytics service. */
const guestAnalysed = eventType(
  'GuestAnalysed',
  TOPICS.guests,
  z.strictObject({ guestId: guestIdSchema, state: z.enum(['finished', 'failed']) }),
);

export const GUEST_EVENTS = [
  guestRequested,
  guestBooted,
  callSitesDiscovered,
  workloadStarted,
  workloadFinished,
  guestFailed,
  guestAnalysed,
] as const;
