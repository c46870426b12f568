export { type Answers, type CompareFilter, eventsOf, StoredAnswers } from './answers.js';
export type { Audit, AuditDifference } from './audit.js';
export type { ComparisonRow } from './comparison.js';
export {
  type Between,
  type ContributionRow,
  type Evidence,
  type SiteText,
  SPLITS,
  type Split,
} from './contribution-row.js';
export { type DeadLetter, type DeadLetterPlace, redrive } from './dead-letters.js';
export {
  BASE,
  type CycleRow,
  FIXED,
  type FleetReport,
  SERIES,
  SUMMARY,
  summaryRow,
} from './fleet-report.js';
export type { Footprint } from './footprints.js';
export type { GuestCycles } from './guest-cycles.js';
export { lastEvent } from './guest-events.js';
export type { RunGuest } from './run-guests.js';
export { outcomeCounts, type SiteRow } from './sites.js';
