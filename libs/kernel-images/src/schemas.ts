import type { KernelCatalogue, PatchSetFile } from '@pvtrail/pvops';
import { z } from 'zod';

const address = z.string().regex(/^0x[0-9a-f]{16}$/);
const bytes = z.string().regex(/^(?:[0-9a-f]{2})*$/);
const natural = z.number().int().min(0);
const saveKind = z.enum(['save', 'restore']);

/** `<stage>.catalogue.json` of docs/adr/004. */
export const catalogueSchema = z.object({
  format: z.literal(1),
  guest: z.string(),
  bits: z.union([z.literal(32), z.literal(64)]),
  stage: z.string(),
  symbols: z.record(z.string(), address),
  opTable: z.array(z.object({ op: z.string(), type: natural, address, calleeSave: z.boolean() })),
  functions: z.array(
    z.object({
      name: z.string(),
      address,
      slotBytes: natural,
      codeBytes: natural,
      kind: z.enum(['c', 'asm', 'op', 'thunk', 'entry', 'user']),
    }),
  ),
  sites: z.array(
    z.object({
      address,
      length: natural,
      function: z.string(),
      op: z.string(),
      type: natural,
      clobbers: natural,
      recordType: z.enum(['c', 'c-callee-save', 'c-irq', 'asm-call', 'asm-jump']),
      innerSaves: z.array(z.object({ offset: natural, kind: saveKind, register: z.string() })),
    }),
  ),
  thunks: z.array(z.object({ name: z.string(), address, bytes: natural, op: z.string() })),
  saves: z.array(
    z.object({
      address,
      kind: saveKind,
      cause: z.enum(['callee-frame', 'spill', 'entry-frame']),
      function: z.string(),
      register: z.string(),
    }),
  ),
  notSaves: z.array(z.object({ address, reason: z.string() })),
}) satisfies z.ZodType<KernelCatalogue>;

/** `patch-sets.json` of docs/adr/004. */
export const patchSetFileSchema = z.object({
  format: z.literal(1),
  base: z.string(),
  sets: z.array(
    z.object({
      optimisation: z.string(),
      stage: z.string(),
      hash: z.string(),
      edits: z.array(z.object({ address, section: z.string(), unit: z.string(), before: bytes, after: bytes })),
    }),
  ),
}) satisfies z.ZodType<PatchSetFile>;
