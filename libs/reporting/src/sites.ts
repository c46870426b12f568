import type { ColumnStore } from '@pvtrail/column-store';
import { type GuestId, type RunId, TOPICS } from '@pvtrail/contracts';
import type { EventLogReader } from '@pvtrail/event-log';
import { lastEvent } from './guest-events.js';

/** One call site of a guest: what it was, what the patcher made of it and why. */
export interface PatchedSite {
  readonly address: string;
  readonly function: string;
  readonly op: string;
  readonly recordType: string;
  readonly clobbers: number;
  readonly length: number;
  readonly bytesBefore: string;
  readonly bytesAfter: string;
  readonly outcome: string;
  /** Why the site keeps its instructions; null when it does not. */
  readonly reason: string | null;
}

/** With how often it ran in the counted region. */
export interface SiteRow extends PatchedSite {
  readonly executions: number;
}

/** Every call site of a stored guest, in the order of the patch records; none for a kernel without call sites. */
export const sitesOf = async (
  log: EventLogReader,
  store: ColumnStore,
  runId: RunId,
  guest: GuestId,
): Promise<SiteRow[]> => {
  const statistics = await store.statistics({ runs: [runId], guests: [guest], by: [], of: 'site' });
  const executions = new Map(statistics.map((row) => [row.address, row.executions]));
  return (await patchedSites(log, guest)).map((site) => ({ ...site, executions: executions.get(site.address) ?? 0 }));
};

/** The same without executions, from the events alone. */
export const patchedSites = async (log: EventLogReader, guest: GuestId): Promise<PatchedSite[]> => {
  const discovered = await lastEvent(log, TOPICS.guests, guest, 'CallSitesDiscovered');
  const patched = await lastEvent(log, TOPICS.patches, guest, 'CallSitesPatched');
  const records = new Map(discovered?.payload.sites.map((site) => [site.address, site]));
  return (patched?.payload.sites ?? []).map((site) => {
    const { address, op, clobbers, length, bytesBefore, bytesAfter, outcome } = site;
    const record = records.get(address);
    return {
      address,
      function: record?.function ?? '',
      op,
      recordType: record?.recordType ?? '',
      clobbers,
      length,
      bytesBefore,
      bytesAfter,
      outcome,
      reason: site.outcome === 'unchanged' ? site.reason : null,
    };
  });
};

/** How many sites ended how: `inline`, `nop`, `direct-call`, …, `unchanged (reason)`. */
export const outcomeCounts = (sites: readonly Pick<PatchedSite, 'outcome' | 'reason'>[]): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const { outcome, reason } of sites) {
    const name = reason === null ? outcome : `${outcome} (${reason})`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
};
