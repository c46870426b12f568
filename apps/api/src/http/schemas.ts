import { METRICS, type Metric } from '@pvtrail/analysis';
import {
  FOOTPRINTS,
  fleetSpecSchema,
  GUEST_TYPES,
  guestIdSchema,
  oneOf,
  runIdSchema,
  STAGES,
  WORKLOADS,
} from '@pvtrail/contracts';
import {
  type ComparisonRow,
  type ContributionRow,
  type DeadLetter,
  type RunGuest,
  type SiteRow,
  SPLITS,
} from '@pvtrail/reporting';
import { z } from 'zod';
import { RUN_STATES, type RunStatus } from '../run-projection.js';

/** What the API takes and gives: checked against on the way in, documented both ways (openapi.ts). */

const count = z.number().int().min(0);
const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;
/** Runs that one comparison may name. */
export const MAX_RUNS = 100;
const MAX_LIMIT = 1_000;

const page = {
  offset: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
};

/** Values separated by commas. */
const list = <S extends z.ZodType>(item: S, max: number) =>
  z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(item).min(1).max(max) as unknown as z.ZodType<z.output<S>[], string[]>);

export const runParams = z.strictObject({ id: runIdSchema });
export const guestParams = z.strictObject({ id: guestIdSchema });
export const pageQuery = z.strictObject(page);

export const runRequest = z.strictObject({
  fleet: fleetSpecSchema,
  force: z.boolean().default(false).describe('forget what is stored of the run and compute it again'),
});

export const eventsQuery = z.strictObject({ ...page });

const split = oneOf('kind of statistic', 'input/invalid', SPLITS);
const stage = oneOf('stage', 'input/unknown-stage', STAGES);

export const compareQuery = z
  .strictObject({
    runs: list(runIdSchema, MAX_RUNS).optional().describe('run ids; all runs unless given'),
    guest: oneOf('guest type', 'input/unknown-guest', GUEST_TYPES).optional(),
    bits: z
      .enum(['32', '64'])
      .transform(Number)
      .pipe(z.union([z.literal(32), z.literal(64)]))
      .optional(),
    stage: stage.optional(),
    workload: oneOf('workload', 'input/unknown-workload', WORKLOADS).optional(),
    footprint: oneOf('footprint', 'input/invalid', FOOTPRINTS).optional(),
    metric: oneOf('metric', 'input/invalid', METRICS as [Metric, ...Metric[]]).optional(),
    between: list(stage, 2).optional().describe('two stages: what changed from one to the other, split by `by`'),
    by: split.default('op').describe('with `between`'),
    limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(20).describe('with `between`: how many rows a metric'),
  })
  .refine(({ between }) => between === undefined || between.length === 2, 'between takes two stages');

export const runStatus = z.object({
  runId: runIdSchema,
  label: z.string(),
  state: z.enum(RUN_STATES),
  guests: count,
  done: count.describe('finished or failed, with everything stored'),
  failed: count,
  requestedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
}) satisfies z.ZodType<RunStatus>;

export const submittedRun = runStatus.extend({ resumed: count.describe('guests that were stored before') });

export const runList = z.object({ runs: z.array(runStatus), total: count });

const runGuest = z.object({
  guestId: guestIdSchema,
  guest: z.string(),
  bits: z.union([z.literal(32), z.literal(64)]),
  stage: z.string(),
  workload: z.string(),
  footprint: z.string(),
  seed: count,
  digest: z.string().describe('SHA-256 over the digests of the chunks'),
  instructions: count,
  chunks: count,
  bytes: count.describe('of the compressed chunks'),
}) satisfies z.ZodType<RunGuest>;

export const guestList = z.object({ guests: z.array(runGuest), total: count });

const comparisonRow = z.object({
  guest: z.string(),
  bits: count,
  stage: z.string(),
  workload: z.string(),
  footprint: z.string(),
  setting: z
    .string()
    .describe("what tells it from other stored guests of the same workload and footprint; '' when there are none"),
  metric: z.enum(METRICS),
  value: z.number(),
  overhead: z.number().nullable().describe('over native nopv; null without one'),
  overheadPercent: z.number().nullable(),
  shareRemoved: z.number().nullable().describe('of the overhead of v2.6.29; null is n/a'),
}) satisfies z.ZodType<ComparisonRow>;

const contributionRow = z.object({
  by: z.enum(SPLITS),
  metric: z.string(),
  name: z.string(),
  before: z.number(),
  after: z.number(),
  difference: z.number(),
}) satisfies z.ZodType<ContributionRow>;

export const comparison = z.object({
  rows: z.union([z.array(comparisonRow), z.array(contributionRow)]).describe('contributions when `between` is given'),
});

const siteRow = z.object({
  address: z.string(),
  function: z.string(),
  op: z.string(),
  recordType: z.string(),
  clobbers: count,
  length: count,
  bytesBefore: z.string(),
  bytesAfter: z.string(),
  outcome: z.string(),
  reason: z.string().nullable(),
  executions: count,
}) satisfies z.ZodType<SiteRow>;

export const siteList = z.object({ sites: z.array(siteRow) });

const place = { topic: z.string(), partition: count, offset: count };

export const deadLetterPlace = z.strictObject(place);

const deadLetter = z.object({
  ...place,
  key: z.string(),
  type: z.string().nullable(),
  bytes: count,
  code: z.string().describe('a code of docs/errors.md'),
  message: z.string(),
  redriven: z.boolean(),
}) satisfies z.ZodType<DeadLetter>;

export const deadLetterList = z.object({ letters: z.array(deadLetter), total: count });

export const eventList = z.object({
  events: z.array(
    z.object({
      id: z.string(),
      type: z.string(),
      version: count,
      runId: runIdSchema,
      subject: z.string(),
      time: z.iso.datetime(),
      payload: z.unknown(),
    }),
  ),
  total: count,
});

/** Documents whose fields docs/cli.md gives. */
export const documentOf = (description: string) => z.looseObject({}).describe(description);

/** RFC 9457. */
export const problem = z.object({
  type: z.string().describe('`urn:pvtrail:error:` and the code'),
  title: z.string(),
  status: count,
  code: z.string().describe('a code of docs/errors.md'),
  detail: z.string(),
});
