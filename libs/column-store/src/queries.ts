import type { Footprint, GuestId, GuestType, RunId, Stage, Workload } from '@pvtrail/contracts';
import { type ByStatistics, DIMENSIONS, type Dimension } from './answers.js';
import { indented, nameAmong, text, texts } from './sql-text.js';
import { COUNTS, FRAME_SAVES, OP_COUNTS, SITE_COUNTS } from './statistics.js';

/** Which guests a query is about: those of the runs that meet every condition given. */
export type GuestFilter = {
  readonly runs: readonly RunId[];
  readonly guests?: readonly GuestId[];
  readonly types?: readonly GuestType[];
  readonly bits?: 32 | 64;
  readonly stages?: readonly Stage[];
  readonly workloads?: readonly Workload[];
  readonly footprints?: readonly Footprint[];
};

export type ComparisonQuery = GuestFilter & { readonly by: readonly Dimension[] };
export type StatisticsQuery<B extends ByStatistics = ByStatistics> = ComparisonQuery & { readonly of: B };
export type ContributionQuery = Omit<GuestFilter, 'stages'> & {
  readonly of: ByStatistics;
  readonly metric: string;
  readonly before: Stage;
  readonly after: Stage;
  readonly limit: number;
};

const MAPS = ['privileged', 'interrupts', 'exceptions', 'traps'] as const;
const LEDGER = ['ledgerSaves', 'ledgerRestores', 'ledgerNotSaves', 'ledgerFoldedSaves', 'ledgerStackMoves'] as const;

/** Per kind of statistic: its table, what identifies a row, and what adds up. */
export const STATISTICS = {
  op: { table: 'op_statistics', keys: ['op'], counts: OP_COUNTS },
  site: { table: 'site_statistics', keys: ['address', 'function', 'op'], counts: SITE_COUNTS },
  function: {
    table: 'function_statistics',
    keys: ['function', 'functionKind', 'mode'],
    counts: ['entries', ...COUNTS, ...FRAME_SAVES],
  },
  cause: { table: 'cause_statistics', keys: ['cause'], counts: ['saves', 'restores'] },
} as const satisfies Record<ByStatistics, { table: string; keys: readonly string[]; counts: readonly string[] }>;

const oneOf = (column: string, values: readonly string[] | undefined): string[] =>
  values === undefined ? [] : [`guests.${column} IN (${texts(values)})`];

const conditions = (filter: GuestFilter): string[] => [
  ...oneOf('run', filter.runs),
  ...oneOf('guest', filter.guests),
  ...oneOf('type', filter.types),
  ...(filter.bits === undefined ? [] : [`guests.bits = ${filter.bits === 64 ? 64 : 32}`]),
  ...oneOf('stage', filter.stages),
  ...oneOf('workload', filter.workloads),
  ...oneOf('footprint', filter.footprints),
  "guests.state = 'finished'",
];

const from = (table: string, filter: GuestFilter): string =>
  [
    `FROM ${table} AS statistics`,
    'INNER JOIN guests ON guests.guest = statistics.guest',
    `WHERE ${conditions(filter).join('\n  AND ')}`,
  ].join('\n');

const dimensions = (by: readonly Dimension[]): string[] =>
  by.map((name) => nameAmong('dimension', name, DIMENSIONS)).map((name) => `guests.${name} AS ${name}`);

const sums = (counts: readonly string[]): string[] => counts.map((name) => `sum(statistics.${name}) AS ${name}`);

const select = (columns: readonly string[], source: string, keys: readonly string[]): string =>
  [
    `SELECT\n${indented(columns)}`,
    source,
    ...(keys.length === 0 ? [] : [`GROUP BY ${keys.join(', ')}`, `ORDER BY ${keys.join(', ')}`]),
  ].join('\n');

/** Counts of guests by mode and the dimensions asked for, summed over units. @throws AppError `input/invalid` */
export const comparisonSql = ({ by, ...filter }: ComparisonQuery): string =>
  select(
    [
      ...dimensions(by),
      'statistics.mode AS mode',
      'uniqExact(statistics.guest) AS guests',
      ...sums([...COUNTS, ...LEDGER]),
      ...MAPS.map((name) => `sumMap(statistics.${name}) AS ${name}`),
    ],
    from('unit_totals', filter),
    [...by, 'mode'],
  );

/** Counts by op, site, function or cause and the dimensions asked for. @throws AppError `input/invalid` */
export const statisticsSql = ({ of, by, ...filter }: StatisticsQuery): string => {
  const { table, keys, counts } = STATISTICS[nameAmong('statistic', of, ['op', 'site', 'function', 'cause'])];
  return select(
    [...dimensions(by), ...keys.map((key) => `statistics.${key} AS ${key}`), ...sums(counts)],
    from(table, filter),
    [...by, ...keys],
  );
};

/** The ops, sites, functions or causes whose count changed most from one stage to another. @throws AppError `input/invalid` */
export const contributionsSql = ({ of, metric, before, after, limit, ...filter }: ContributionQuery): string => {
  const { table, keys, counts } = STATISTICS[nameAmong('statistic', of, ['op', 'site', 'function', 'cause'])];
  const column = `statistics.${nameAmong('metric', metric, counts)}`;
  const names = keys.filter((key) => key !== 'mode' && key !== 'functionKind').map((key) => `statistics.${key}`);
  const name = of === 'site' ? "concat(statistics.function, ' ', statistics.op, ' ', statistics.address)" : names[0];
  const inMode = of === 'function' ? "\n  AND statistics.mode = 'kernel'" : '';
  return [
    'SELECT',
    indented([
      `${name} AS name`,
      `sumIf(${column}, guests.stage = ${text(before)}) AS before`,
      `sumIf(${column}, guests.stage = ${text(after)}) AS after`,
      'toInt64(after) - toInt64(before) AS difference',
    ]),
    from(table, { ...filter, stages: [before, after] }) + inMode,
    'GROUP BY name',
    'HAVING difference != 0',
    'ORDER BY abs(difference) DESC, name',
    `LIMIT ${Math.max(1, Math.trunc(limit))}`,
  ].join('\n');
};

/** Sizes and variety of what each finished guest of a run executed in its measured region. */
export const footprintsSql = (run: RunId): string => {
  const ofRun = `guest IN (SELECT guest FROM guests WHERE run = ${text(run)})`;
  return `WITH
  totals AS (
    SELECT
      guest,
      sumIf(instructions, mode = 'kernel') AS kernelInstructions,
      sumIf(instructions, mode = 'user') AS userInstructions,
      sumIf(newTextBytes, mode = 'kernel') AS kernelTextBytes,
      sumIf(dataReads + dataWrites, mode = 'kernel') AS dataReferences,
      sumIf(unit_totals.repReferences, mode = 'kernel') AS kernelRepReferences
    FROM unit_totals
    WHERE ${ofRun}
    GROUP BY guest
  ),
  executedFunctions AS (
    SELECT guest, uniqExactIf(function, mode = 'kernel' AND instructions > 0 AND function != '') AS functions
    FROM function_statistics
    WHERE ${ofRun}
    GROUP BY guest
  ),
  executedSites AS (
    SELECT guest, uniqExactIf(address, executions > 0) AS sites
    FROM site_statistics
    WHERE ${ofRun}
    GROUP BY guest
  ),
  executedOps AS (
    SELECT guest, sumMap(map(toString(op), executions)) AS executions
    FROM op_statistics
    WHERE ${ofRun}
    GROUP BY guest
  )
SELECT
  guests.guest AS guest,
  guests.type AS type,
  guests.bits AS bits,
  guests.stage AS stage,
  guests.workload AS workload,
  guests.footprint AS footprint,
  totals.kernelInstructions AS kernelInstructions,
  totals.userInstructions AS userInstructions,
  totals.kernelTextBytes AS kernelTextBytes,
  totals.dataReferences AS dataReferences,
  totals.kernelRepReferences AS repReferences,
  executedFunctions.functions AS functions,
  executedSites.sites AS sites,
  executedOps.executions AS executions
FROM guests
INNER JOIN totals ON totals.guest = guests.guest
LEFT JOIN executedFunctions ON executedFunctions.guest = guests.guest
LEFT JOIN executedSites ON executedSites.guest = guests.guest
LEFT JOIN executedOps ON executedOps.guest = guests.guest
WHERE guests.run = ${text(run)}
  AND guests.state = 'finished'
ORDER BY guests.fleetIndex`;
};

export const guestsSql = (run: RunId): string => `SELECT *\nFROM guests\nWHERE run = ${text(run)}\nORDER BY fleetIndex`;

export const runsSql = (): string => `SELECT
  run,
  countIf(state = 'finished') AS finished,
  countIf(state = 'failed') AS failed,
  sum(instructions) AS instructions
FROM guests
GROUP BY run
ORDER BY run`;

export const eventsSql = (run: RunId): string => `SELECT
  id, type, version, toUnixTimestamp64Milli(time) AS timeMs, run, subject, payload
FROM events
WHERE run = ${text(run)}
ORDER BY time, id`;

export const committedUnitsSql = (guest: GuestId): string => `SELECT unit, firstChunk, chunks, instructions, last
FROM units
WHERE guest = ${text(guest)}
ORDER BY unit`;

export const checkpointSql = (guest: GuestId, unit: number): string => `SELECT checkpoint
FROM units
WHERE guest = ${text(guest)}
  AND unit = ${Math.trunc(unit)}
LIMIT 1`;

/** How many units of a guest are stored. They have no gaps, so a count and maxima tell all. */
export const committedSql = (guest: GuestId): string => `SELECT
  count() AS units,
  max(firstChunk + chunks) AS nextChunk,
  max(last) AS complete
FROM units
WHERE guest = ${text(guest)}`;

/** How often guests were removed; those that never were are left out. */
export const generationsSql = (guests: readonly GuestId[]): string => `SELECT guest, max(generation) AS generation
FROM removals
WHERE guest IN (${texts(guests)})
GROUP BY guest`;

/** What is stored of each guest of a run, at each step on its way: chunks, commit rows, and two tables of aggregates. */
export const storedGuestsSql = (run: RunId): string => {
  const ofRun = `guest IN (SELECT guest FROM guests WHERE run = ${text(run)})`;
  const sumOf = (table: string): string =>
    `SELECT guest, sum(instructions) AS instructions\n    FROM ${table}\n    WHERE ${ofRun} AND (guest, unit) IN (SELECT guest, unit FROM units)\n    GROUP BY guest`;
  return `WITH
  received AS (
    SELECT
      guest,
      count() AS chunks,
      sum(instructions) AS instructions,
      sum(bytes) AS bytes,
      arrayMap(entry -> toString(entry.2), arraySort(groupArray((sequence, digest)))) AS digests
    FROM chunks
    WHERE ${ofRun}
    GROUP BY guest
  ),
  committed AS (
    SELECT guest, count() AS units, sum(chunks) AS chunks, sum(instructions) AS instructions
    FROM units
    WHERE ${ofRun}
    GROUP BY guest
  ),
  totals AS (
    ${sumOf('unit_totals')}
  ),
  functions AS (
    ${sumOf('function_statistics')}
  )
SELECT
  guests.guest AS guest,
  received.chunks AS chunks,
  received.instructions AS instructions,
  received.bytes AS bytes,
  received.digests AS digests,
  committed.units AS committedUnits,
  committed.chunks AS committedChunks,
  committed.instructions AS committedInstructions,
  totals.instructions AS countedInstructions,
  functions.instructions AS functionInstructions
FROM guests
LEFT JOIN received ON received.guest = guests.guest
LEFT JOIN committed ON committed.guest = guests.guest
LEFT JOIN totals ON totals.guest = guests.guest
LEFT JOIN functions ON functions.guest = guests.guest
WHERE guests.run = ${text(run)}
  AND guests.state = 'finished'
ORDER BY guests.fleetIndex`;
};
