import { AppError, type ErrorCode } from '@pvtrail/primitives';
import { z } from 'zod';
import {
  CPUS,
  defaultPaging,
  FOOTPRINTS,
  GUEST_BITS,
  GUEST_TYPES,
  PAGINGS,
  STAGES,
  WORKLOADS,
  type Workload,
} from './vocabulary.js';

/** The code that a failed check reports; carried in the zod issue so that one parse finds every error. */
const coded = (code: ErrorCode, message: string) => ({ message, params: { code } });

/** One of some names, refused with a code of its own; the metadata is its JSON schema. */
export const oneOf = <const T extends readonly [string, ...string[]]>(kind: string, code: ErrorCode, names: T) =>
  z
    .custom<T[number]>((value) => typeof value === 'string' && names.includes(value), {
      error: (issue) => `unknown ${kind} ${JSON.stringify(issue.input)}; valid: ${names.join(', ')}`,
      params: { code },
    })
    .meta({ type: 'string', enum: names });

const u32 = z.number().int().min(0).max(0xffffffff);
const cycles = (byDefault: number) => z.number().min(0).max(1e6).default(byDefault);
const powerOfTwo = z
  .number()
  .int()
  .positive()
  .refine((value) => Number.isInteger(Math.log2(value)), 'must be a power of two');

const cacheSchema = (sizeBytes: number, ways: number) =>
  z
    .strictObject({
      sizeBytes: powerOfTwo
        .min(256)
        .max(1 << 26)
        .default(sizeBytes),
      ways: powerOfTwo.max(32).default(ways),
      lineBytes: powerOfTwo.min(16).max(256).default(64),
    })
    .refine(
      ({ sizeBytes: size, ways: assoc, lineBytes }) => size >= assoc * lineBytes,
      'a cache holds at least one set: sizeBytes ≥ ways × lineBytes',
    )
    .prefault({});

/** Sizes in bytes; default 32 KiB 8-way L1I and L1D, 256 KiB 8-way L2, lines of 64 bytes. */
export const cacheGeometrySchema = z
  .strictObject({
    l1i: cacheSchema(32 << 10, 8),
    l1d: cacheSchema(32 << 10, 8),
    l2: cacheSchema(256 << 10, 8),
  })
  .prefault({});
export type CacheGeometry = z.output<typeof cacheGeometrySchema>;

/** Costs in cycles; defaults and which of them are assumptions: definitions.md §4. Counts never depend on them. */
export const costsSchema = z
  .strictObject({
    instruction: cycles(0.4),
    nop: cycles(0.25),
    l1Miss: cycles(12),
    l2Miss: cycles(200),
    misprediction: cycles(15),
    kvmExit: cycles(2000),
    xen64Hypercall: cycles(500),
    xen32Hypercall: cycles(300),
    multicallEntry: cycles(100),
    emulatedTableWrite: cycles(3000),
    otherEmulation: cycles(2500),
    eventInjection: cycles(1000),
    lguestHypercall: cycles(2500),
  })
  .prefault({});
export type Costs = z.output<typeof costsSchema>;

const SINGLE_WORKLOADS = WORKLOADS.filter((name): name is Exclude<Workload, 'mix'> => name !== 'mix');

type MixIterations = Readonly<Record<Exclude<Workload, 'mix'>, number>>;

/**
 * Makes each single workload's share of the mix equal: native nopv executes about 200,000 kernel instructions of each in an iteration
 * of the hot mix, about 95,000 in one of the mixed (definitions §3). `guest-kernel/test/mix-balance.spec.ts` checks it.
 */
const BALANCED_MIX: Readonly<Record<(typeof FOOTPRINTS)[number], MixIterations>> = {
  hot: { nullsyscall: 6, pagefault: 3, fork: 4, mmap: 2, ctxswitch: 3, timer: 2, spinlock: 5 },
  mixed: { nullsyscall: 6, pagefault: 4, fork: 1, mmap: 3, ctxswitch: 4, timer: 1, spinlock: 5 },
};

/** How often each single workload runs inside one iteration of the mix; by default balanced for the guest's footprint. */
const mixIterationsSchema = z
  .strictObject(
    Object.fromEntries(SINGLE_WORKLOADS.map((name) => [name, u32.optional()])) as Record<
      keyof MixIterations,
      z.ZodOptional<typeof u32>
    >,
  )
  .prefault({});

const guestFields = {
  type: oneOf('guest type', 'input/unknown-guest', GUEST_TYPES).default('native'),
  bits: z.union([z.literal(64), z.literal(32)], { error: 'bits must be 32 or 64' }).default(64),
  stage: oneOf('stage', 'input/unknown-stage', STAGES),
  workload: oneOf('workload', 'input/unknown-workload', WORKLOADS),
  footprint: oneOf('footprint', 'input/invalid', FOOTPRINTS).default('hot'),
  iterations: u32.min(1).default(1),
  seed: u32.default(1),
  paging: oneOf('paging', 'input/invalid', PAGINGS).optional(),
  cpu: oneOf('cpu', 'input/invalid', CPUS).default('intel'),
  pvSpinlocks: z.boolean().default(true),
  ramMiB: powerOfTwo.min(16).max(1024).default(64),
  userCodeBytes: u32.max(1 << 24).default(48 << 10),
  userDataBytes: u32.max(1 << 28).default(256 << 10),
  timerPeriod: u32.min(100).default(5000),
  mixIterations: mixIterationsSchema,
  maxInstructions: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).default(50_000_000_000),
  caches: cacheGeometrySchema,
  costs: costsSchema,
};

type Combination = {
  readonly type: keyof typeof GUEST_BITS;
  readonly bits: 32 | 64;
  readonly stage: string;
  readonly paging?: string | undefined;
  readonly ramMiB: number;
};

/** What the initial page tables of a Xen guest reach (docs/adr/007). */
const XEN_MAX_RAM_MIB = 128;

type Incomplete = {
  readonly footprint: (typeof FOOTPRINTS)[number];
  readonly mixIterations: { readonly [Name in keyof MixIterations]?: number | undefined };
};

/** Why a guest of this description cannot exist, or undefined. */
const contradiction = ({ type, bits, stage, paging, ramMiB }: Combination): string | undefined => {
  const possible: readonly number[] = GUEST_BITS[type];
  if (!possible.includes(bits)) return `${type} guests exist with ${possible.join(' or ')} bits, not ${bits}`;
  if (stage === 'nopv' && type !== 'native')
    return `stage nopv exists for native guests only, not for ${type}; valid: ${STAGES.slice(1).join(', ')}`;
  if (paging !== undefined && (paging === '4level') !== (bits === 64)) {
    return bits === 64 ? `64-bit guests have paging 4level, not ${paging}` : '32-bit guests have paging pae or 2level';
  }
  if (type === 'xen' && ramMiB > XEN_MAX_RAM_MIB)
    return `xen guests have at most ${XEN_MAX_RAM_MIB} MiB, not ${ramMiB}`;
  return undefined;
};

/** Fills in the defaults that depend on other fields. */
const completed = <T extends Combination & Incomplete>(guest: T) => ({
  ...guest,
  paging: (guest.paging ?? defaultPaging(guest.type, guest.bits)) as (typeof PAGINGS)[number],
  mixIterations: Object.fromEntries(
    SINGLE_WORKLOADS.map((name) => [name, guest.mixIterations[name] ?? BALANCED_MIX[guest.footprint][name]]),
  ) as MixIterations,
});

const refuseContradiction = (guest: Combination, context: z.core.$RefinementCtx) => {
  const reason = contradiction(guest);
  if (reason !== undefined) {
    context.issues.push({ code: 'custom', input: guest, ...coded('input/unsupported-combination', reason) });
  }
};

/** One guest: everything that its trace and its statistics depend on, except the image's bytes. */
export const guestSpecSchema = z.strictObject(guestFields).superRefine(refuseContradiction).transform(completed);
export type GuestSpec = z.output<typeof guestSpecSchema>;
/** What a user writes: all but stage and workload have defaults. */
export type GuestSpecInput = z.input<typeof guestSpecSchema>;

const MAX_GUESTS = 1_000_000;

const fleetEntrySchema = z
  .strictObject({ ...guestFields, replicas: z.number().int().min(1).max(MAX_GUESTS).default(1) })
  .superRefine(refuseContradiction)
  .transform(completed);

/** A fleet: entries of guests; a replica is the same guest with the next seed. */
export const fleetSpecSchema = z.strictObject({
  label: z
    .string()
    .regex(/^[\w.-]{0,64}$/, 'a label has up to 64 letters, digits, dots, dashes and underscores')
    .default(''),
  guests: z.array(fleetEntrySchema).min(1).max(10_000),
});
export type FleetSpec = z.output<typeof fleetSpecSchema>;
export type FleetSpecInput = z.input<typeof fleetSpecSchema>;

const codeOf = (issue: z.core.$ZodIssue): ErrorCode => {
  if (issue.code === 'unrecognized_keys') return 'input/unknown-option';
  if (issue.code !== 'custom') return 'input/invalid';
  return (issue.params?.code as ErrorCode | undefined) ?? 'input/invalid';
};

/** Parses with all errors at once. @throws AppError with the code of the first, every message in the text. */
export const parseInput = <S extends z.ZodType>(schema: S, raw: unknown): z.output<S> => {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const [first] = result.error.issues;
  const messages = result.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  throw new AppError(first === undefined ? 'input/invalid' : codeOf(first), messages.join('; '), {
    issues: result.error.issues.map((issue) => ({ path: issue.path.join('.'), code: codeOf(issue) })),
  });
};

/** @throws AppError `input/unknown-guest`, `-stage`, `-workload`, `-option`, `input/unsupported-combination`, `input/invalid` */
export const parseGuestSpec = (raw: unknown): GuestSpec => parseInput(guestSpecSchema, raw);

/** @throws AppError as parseGuestSpec */
export const parseFleetSpec = (raw: unknown): FleetSpec => parseInput(fleetSpecSchema, raw);

/** The guests of a fleet in order; replica n of an entry has the entry's seed + n (modulo 2³²). @throws AppError `input/invalid` */
export const expandFleet = (fleet: FleetSpec): GuestSpec[] => {
  const total = fleet.guests.reduce((sum, { replicas }) => sum + replicas, 0);
  if (total > MAX_GUESTS) throw new AppError('input/invalid', `a fleet has at most ${MAX_GUESTS} guests, not ${total}`);
  return fleet.guests.flatMap(({ replicas, ...guest }) =>
    Array.from({ length: replicas }, (_, replica) => ({ ...guest, seed: (guest.seed + replica) >>> 0 })),
  );
};
