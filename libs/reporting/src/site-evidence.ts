import type { ColumnStore, EndedGuest, GuestFilter } from '@pvtrail/column-store';
import type { Stage } from '@pvtrail/contracts';
import type { EventLogReader } from '@pvtrail/event-log';
import type { Between, ContributionRow, Evidence, Outcomes, SiteText } from './contribution-row.js';
import { namedSites } from './site-contributions.js';
import { outcomeCounts, patchedSites } from './sites.js';

/**
 * The rows by site and op with what the patch events say of their sites. Rows stay as they are where the guests have different kernels,
 * because their sites are not the same. @throws AppError `log/*`, `store/*`
 */
export const withEvidence = async (
  log: EventLogReader,
  store: ColumnStore,
  filter: GuestFilter,
  { of, before, after }: Between,
  rows: readonly ContributionRow[],
): Promise<ContributionRow[]> => {
  if (of !== 'site' && of !== 'op') return [...rows];
  const guests = await guestsOf(store, filter);
  const [first, second] = [guests.find(isAt(before)), guests.find(isAt(after))];
  const alike = new Set(guests.filter((guest) => isAt(before)(guest) || isAt(after)(guest)).map(kernelOf)).size === 1;
  if (first === undefined || second === undefined || !alike) return [...rows];
  const evidenceOf = of === 'op' ? opEvidence : siteEvidence;
  const [was, is] = [await evidenceOf(log, store, first), await evidenceOf(log, store, second)];
  return rows.map((row) => ({ ...row, evidence: pair(was(row.name), is(row.name)) }));
};

type Found = { readonly site: SiteText | null } | { readonly outcomes: Outcomes };

const pair = (before: Found, after: Found): Evidence =>
  'site' in before && 'site' in after
    ? { kind: 'site', before: before.site, after: after.site }
    : {
        kind: 'outcomes',
        before: 'outcomes' in before ? before.outcomes : {},
        after: 'outcomes' in after ? after.outcomes : {},
      };

const isAt =
  (stage: Stage) =>
  ({ spec }: EndedGuest): boolean =>
    spec.stage === stage;

const kernelOf = ({ spec: { type, bits, paging, pvSpinlocks } }: EndedGuest): string =>
  [type, bits, paging, pvSpinlocks].join(' ');

const guestsOf = async (store: ColumnStore, filter: GuestFilter): Promise<EndedGuest[]> => {
  const guests = [];
  for (const run of filter.runs) guests.push(...(await store.guests(run)));
  const among = <T>(values: readonly T[] | undefined, value: T): boolean => values?.includes(value) ?? true;
  return guests.filter(
    ({ state, spec }) =>
      state === 'finished' &&
      among(filter.types, spec.type) &&
      among(filter.bits && [filter.bits], spec.bits) &&
      among(filter.workloads, spec.workload) &&
      among(filter.footprints, spec.footprint),
  );
};

const opEvidence = async (log: EventLogReader, _: ColumnStore, { guestId }: EndedGuest) => {
  const byOp = Map.groupBy(await patchedSites(log, guestId), ({ op }) => op);
  return (op: string): Found => ({ outcomes: Object.fromEntries(outcomeCounts(byOp.get(op) ?? [])) });
};

const siteEvidence = async (log: EventLogReader, store: ColumnStore, { runId, guestId }: EndedGuest) => {
  const texts = new Map((await patchedSites(log, guestId)).map((site) => [site.address, site]));
  const named = namedSites(await store.statistics({ runs: [runId], guests: [guestId], by: [], of: 'site' }));
  return (name: string): Found => {
    const text = texts.get(named.get(name)?.address ?? '');
    if (text === undefined) return { site: null };
    const { address, outcome, reason, bytesBefore, bytesAfter } = text;
    return { site: { address, outcome, reason, bytesBefore, bytesAfter } };
  };
};
