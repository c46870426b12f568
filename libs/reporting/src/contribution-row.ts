import type { ByStatistics, Contribution } from '@pvtrail/column-store';
import type { Stage } from '@pvtrail/contracts';
import type { PatchedSite } from './sites.js';

/** What the changes between two stages can be split by. */
export const SPLITS = ['op', 'site', 'function', 'cause', 'trap'] as const satisfies readonly (ByStatistics | 'trap')[];
export type Split = (typeof SPLITS)[number];

export interface ContributionRow extends Contribution {
  readonly by: Split;
  readonly metric: string;
  /** Of rows by site and op, where the guests have the same kernel. */
  readonly evidence?: Evidence;
}

export interface Between {
  readonly of: Split;
  readonly before: Stage;
  readonly after: Stage;
  readonly limit: number;
}

/** What the patcher made of a site in one stage. */
export type SiteText = Pick<PatchedSite, 'address' | 'outcome' | 'reason' | 'bytesBefore' | 'bytesAfter'>;

/** A changed site's text in both stages; null where it is not executed, or not there. Or how many sites of a changed op ended how. */
export type Evidence =
  | { readonly kind: 'site'; readonly before: SiteText | null; readonly after: SiteText | null }
  | { readonly kind: 'outcomes'; readonly before: Outcomes; readonly after: Outcomes };
export type Outcomes = Readonly<Record<string, number>>;
