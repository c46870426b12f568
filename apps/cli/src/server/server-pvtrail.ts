import { setTimeout as delay } from 'node:timers/promises';
import type { RunStatus } from '@pvtrail/api';
import type { AnyEvent, FleetSpec, GuestId, RunId } from '@pvtrail/contracts';
import { AppError, ERROR_CODES } from '@pvtrail/primitives';
import type {
  Answers,
  Audit,
  Between,
  CompareFilter,
  ComparisonRow,
  ContributionRow,
  DeadLetter,
  FleetReport,
  Footprint,
  GuestCycles,
  RunGuest,
  SiteRow,
} from '@pvtrail/reporting';
import { onInterruption } from '../interruption.js';
import { progressBar } from '../progress.js';
import type { ComputedRun, Pvtrail } from '../pvtrail.js';
import type { HttpClient } from './http-client.js';

const PAGE = 1_000;
const POLL_MS = 500;
/** How often a server is asked that does not answer, and the pause between: five minutes in all. */
const PATIENCE = 300;
const RETRY_MS = 1_000;

const queryOf = ({ runs, ...rest }: CompareFilter) => ({ runs: runs?.join(','), ...rest });

/** The API's answers; its documents are those that this process would make. */
class ServerAnswers implements Answers {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  async compare(filter: CompareFilter): Promise<ComparisonRow[]> {
    return (await this.#http.get<{ rows: ComparisonRow[] }>('/v1/compare', queryOf(filter))).rows;
  }

  async contributions(filter: CompareFilter, { of, before, after, limit }: Between): Promise<ContributionRow[]> {
    const query = { ...queryOf(filter), between: `${before},${after}`, by: of, limit };
    return (await this.#http.get<{ rows: ContributionRow[] }>('/v1/compare', query)).rows;
  }

  guests(run: RunId): Promise<RunGuest[]> {
    return this.#pages(`/v1/runs/${run}/guests`, 'guests');
  }

  async footprints(run: RunId): Promise<Footprint[]> {
    return (await this.#http.get<{ footprints: Footprint[] }>(`/v1/runs/${run}/footprints`)).footprints;
  }

  async cycles(run: RunId): Promise<GuestCycles[]> {
    return (await this.#http.get<{ cycles: GuestCycles[] }>(`/v1/runs/${run}/cycles`)).cycles;
  }

  report(run: RunId): Promise<FleetReport> {
    return this.#http.get(`/v1/runs/${run}/report`);
  }

  audit(run: RunId): Promise<Audit> {
    return this.#http.get(`/v1/runs/${run}/audit`);
  }

  async sites(guest: GuestId): Promise<SiteRow[]> {
    return (await this.#http.get<{ sites: SiteRow[] }>(`/v1/guests/${guest}/sites`)).sites;
  }

  deadLetters(): Promise<DeadLetter[]> {
    return this.#pages('/v1/dead-letters', 'letters');
  }

  async events(id: string): Promise<AnyEvent[]> {
    try {
      return await this.#pages(`/v1/runs/${id}/events`, 'events');
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'run/unknown') throw error;
      return (await this.#http.get<{ events: AnyEvent[] }>(`/v1/guests/${id}/events`)).events;
    }
  }

  async #pages<T>(path: string, name: string): Promise<T[]> {
    const all: T[] = [];
    for (;;) {
      const { [name]: items, total } = await this.#http.get<Record<string, T[]> & { total: number }>(path, {
        offset: all.length,
        limit: PAGE,
      });
      all.push(...(items ?? []));
      if (all.length >= total || items === undefined || items.length === 0) return all;
    }
  }
}

/** A pvtrail behind an API. */
export const serverPvtrail = (http: HttpClient, note: (line: string) => void): Pvtrail => {
  const answers = new ServerAnswers(http);
  return {
    answers,
    compute: (fleet, force) => compute(http, answers, fleet, force, note),
    redrive: (place) => http.post('/v1/dead-letters/redrive', place),
  };
};

const compute = async (
  http: HttpClient,
  answers: Answers,
  fleet: FleetSpec,
  force: boolean,
  note: (line: string) => void,
): Promise<ComputedRun> => {
  const { runId, resumed, ...submitted } = await http.post<RunStatus & { resumed: number }>('/v1/runs', {
    fleet,
    force,
  });
  const status = await follow(http, { runId, ...submitted }, note);
  if (status.state === 'cancelled') throw new AppError('run/failed', `run ${runId} was cancelled`);
  if (status.state === 'failed') throw await failureOf(answers, status);
  return { runId, guests: await answers.guests(runId), resumed };
};

const follow = async (http: HttpClient, submitted: RunStatus, note: (line: string) => void): Promise<RunStatus> => {
  const bar = progressBar(submitted.guests);
  const uninterrupted = onInterruption(() => {
    bar.stop();
    note(`the server goes on with run ${submitted.runId}; \`pvtrail cancel\` stops it`);
  });
  try {
    let status = submitted;
    while (status.state === 'running') {
      bar.update(status);
      await delay(POLL_MS);
      status = await whenReachable(() => http.get<RunStatus>(`/v1/runs/${submitted.runId}`));
    }
    return status;
  } finally {
    uninterrupted();
    bar.stop();
  }
};

/** Waits for a server that is started again. */
const whenReachable = async <T>(ask: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      const code = error instanceof AppError ? error.code : undefined;
      if (code === undefined || !ERROR_CODES[code].retriable || attempt === PATIENCE) throw error;
      await delay(RETRY_MS);
    }
  }
};

const failureOf = async (answers: Answers, { runId, failed, guests }: RunStatus): Promise<AppError> => {
  const events = await answers.events(runId);
  const first = events.find((event) => event.type === 'GuestFailed');
  const why =
    first === undefined ? '' : `; the first, ${first.subject}: ${first.payload.code}: ${first.payload.message}`;
  return new AppError(
    'run/failed',
    `${failed} of ${guests} guests failed${why}; \`pvtrail events GUEST --json\` shows registers and last blocks`,
  );
};
