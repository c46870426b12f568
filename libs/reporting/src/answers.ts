import type { Metric } from '@pvtrail/analysis';
import type { ColumnStore, GuestFilter } from '@pvtrail/column-store';
import {
  type AnyEvent,
  type Footprint as FootprintName,
  fromMessage,
  type GuestId,
  type GuestType,
  type RunId,
  type Stage,
  TOPICS,
  type Workload,
} from '@pvtrail/contracts';
import type { EventLogReader } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { type Audit, auditOf } from './audit.js';
import { pairedGuests } from './comparable-guests.js';
import { type ComparisonRow, compareRuns } from './comparison.js';
import type { Between, ContributionRow } from './contribution-row.js';
import { contributionsBy } from './contributions.js';
import { type DeadLetter, deadLettersOf } from './dead-letters.js';
import { type FleetReport, fleetReport } from './fleet-report.js';
import { type Footprint, footprintsOf } from './footprints.js';
import { cyclesOfRun, type GuestCycles } from './guest-cycles.js';
import { lastEvent } from './guest-events.js';
import { costedGuests } from './kernel-metrics.js';
import { type RunGuest, runGuests } from './run-guests.js';
import { withEvidence } from './site-evidence.js';
import { type SiteRow, sitesOf } from './sites.js';

/** Which guests and which metric; what is left out is not narrowed. No runs: all that are stored. */
export interface CompareFilter {
  readonly runs?: readonly RunId[];
  readonly guest?: GuestType;
  readonly bits?: 32 | 64;
  readonly stage?: Stage;
  readonly workload?: Workload;
  readonly footprint?: FootprintName;
  readonly metric?: Metric;
}

/** What can be asked of stored runs, on this machine or through the API. */
export interface Answers {
  /** @throws AppError `input/not-found` when nothing is stored for the filter */
  compare(filter: CompareFilter): Promise<ComparisonRow[]>;
  /** @throws AppError `input/not-found` when a stage is not stored */
  contributions(filter: Omit<CompareFilter, 'stage' | 'metric'>, between: Between): Promise<ContributionRow[]>;
  guests(run: RunId): Promise<RunGuest[]>;
  footprints(run: RunId): Promise<Footprint[]>;
  cycles(run: RunId): Promise<GuestCycles[]>;
  report(run: RunId): Promise<FleetReport>;
  /** Whether what guests produced is what is stored. @throws AppError `run/unknown` */
  audit(run: RunId): Promise<Audit>;
  /** @throws AppError `input/not-found` for a guest that was never requested */
  sites(guest: GuestId): Promise<SiteRow[]>;
  /** Messages that could not be handled. */
  deadLetters(): Promise<DeadLetter[]>;
  /** Of a run and its guests, or of a guest, by time. @throws AppError `input/not-found` when there are none */
  events(id: string): Promise<AnyEvent[]>;
}

/** Answers from the event log and the column store. Errors of every method: `log/*`, `store/*`. */
export class StoredAnswers implements Answers {
  readonly #log: EventLogReader;
  readonly #store: ColumnStore;

  constructor(log: EventLogReader, store: ColumnStore) {
    this.#log = log;
    this.#store = store;
  }

  async compare(filter: CompareFilter): Promise<ComparisonRow[]> {
    const rows = (await compareRuns(this.#store, await this.#runs(filter))).filter(matches(filter));
    if (rows.length > 0) return rows;
    throw new AppError('input/not-found', 'nothing is stored for this; `npm start` computes the default fleet');
  }

  async contributions(filter: CompareFilter, between: Between): Promise<ContributionRow[]> {
    const guests = await this.#paired(guestFilter(await this.#runs(filter), filter), between);
    const rows = await contributionsBy(this.#store, guests, between);
    return withEvidence(this.#log, this.#store, guests, between, rows);
  }

  guests(run: RunId): Promise<RunGuest[]> {
    return runGuests(this.#store, run);
  }

  footprints(run: RunId): Promise<Footprint[]> {
    return footprintsOf(this.#store, run);
  }

  cycles(run: RunId): Promise<GuestCycles[]> {
    return cyclesOfRun(this.#store, run);
  }

  report(run: RunId): Promise<FleetReport> {
    return fleetReport(this.#log, this.#store, run);
  }

  audit(run: RunId): Promise<Audit> {
    return auditOf(this.#log, this.#store, run);
  }

  async sites(guest: GuestId): Promise<SiteRow[]> {
    const requested = await lastEvent(this.#log, TOPICS.guests, guest, 'GuestRequested');
    if (requested === undefined) throw new AppError('input/not-found', `no guest has the id '${guest}'`);
    return sitesOf(this.#log, this.#store, requested.runId, guest);
  }

  deadLetters(): Promise<DeadLetter[]> {
    return deadLettersOf(this.#log);
  }

  events(id: string): Promise<AnyEvent[]> {
    return eventsOf(this.#log, id);
  }

  async #runs({ runs }: CompareFilter): Promise<readonly RunId[]> {
    return runs ?? (await this.#store.runs()).map(({ runId }) => runId);
  }

  /** Guests of both stages that did the same work. @throws AppError `input/not-found` */
  async #paired(filter: GuestFilter, { before, after }: Between): Promise<GuestFilter> {
    const stored = await this.#store.comparison({ ...filter, stages: [before, after], by: ['guest', 'stage'] });
    const missing = [before, after].filter((stage) => !stored.some((row) => row.stage === stage));
    const ids = new Set(stored.map(({ guest }) => guest));
    const guests = (await costedGuests(this.#store, filter.runs)).filter(({ guestId }) => ids.has(guestId));
    const paired = pairedGuests(guests, [before, after]).map(({ guestId }) => guestId);
    if (paired.length > 0) return { ...filter, guests: paired };
    const what =
      missing.length > 0
        ? `no such guest of ${missing.join(' and ')}`
        : `no guest of ${before} that did the work of ${after}`;
    throw new AppError('input/not-found', `${what} is stored; \`pvtrail run\` computes it`);
  }
}

/** Of a run and its guests, or of a guest, by time. @throws AppError `input/not-found` when there are none, `log/*` */
export const eventsOf = async (log: EventLogReader, id: string): Promise<AnyEvent[]> => {
  const ofRun = await streamOf(log, TOPICS.runs, id);
  const guests = ofRun.flatMap((event) => (event.type === 'RunRequested' ? event.payload.guests : []));
  const events = [...ofRun];
  for (const guest of ofRun.length > 0 ? new Set<string>(guests) : [id]) {
    for (const topic of [TOPICS.guests, TOPICS.patches]) events.push(...(await streamOf(log, topic, guest)));
  }
  if (events.length === 0) throw new AppError('input/not-found', `no event has the run or guest id '${id}'`);
  return events.sort((a, b) => a.time.localeCompare(b.time));
};

const streamOf = async (log: EventLogReader, topic: string, key: string): Promise<AnyEvent[]> => {
  const events: AnyEvent[] = [];
  for await (const record of log.read(topic, { key })) events.push(fromMessage(record));
  return events;
};

const guestFilter = (
  runs: readonly RunId[],
  { guest, bits, workload, footprint }: Omit<CompareFilter, 'stage' | 'metric'>,
): GuestFilter => ({
  runs,
  ...(guest === undefined ? {} : { types: [guest] }),
  ...(bits === undefined ? {} : { bits }),
  ...(workload === undefined ? {} : { workloads: [workload] }),
  ...(footprint === undefined ? {} : { footprints: [footprint] }),
});

const matches =
  ({ guest, bits, stage, workload, footprint, metric }: CompareFilter) =>
  (row: ComparisonRow): boolean =>
    (guest === undefined || row.guest === guest) &&
    (bits === undefined || row.bits === bits) &&
    (stage === undefined || row.stage === stage) &&
    (workload === undefined || row.workload === workload) &&
    (footprint === undefined || row.footprint === footprint) &&
    (metric === undefined || row.metric === metric);
