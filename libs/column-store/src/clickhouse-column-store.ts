import type { AnyEvent, GuestId, RunId } from '@pvtrail/contracts';
import { AppError, digestOf } from '@pvtrail/primitives';
import {
  type ByStatistics,
  type Comparison,
  type Contribution,
  DIMENSIONS,
  type FootprintRow,
  type StatisticsRow,
  type StoredGuest,
} from './answers.js';
import type { Database } from './database.js';
import { migrate } from './migrate.js';
import { openDatabase, type StoreLocation } from './open-database.js';
import type { ColumnStore, CommittedUnit, EndedGuest, ResumePoint, RunRow, Unit } from './port.js';
import {
  type ComparisonQuery,
  type ContributionQuery,
  checkpointSql,
  committedSql,
  committedUnitsSql,
  comparisonSql,
  contributionsSql,
  eventsSql,
  footprintsSql,
  generationsSql,
  guestsSql,
  runsSql,
  STATISTICS,
  type StatisticsQuery,
  statisticsSql,
  storedGuestsSql,
} from './queries.js';
import {
  fromCheckpoint,
  fromCommitRow,
  fromCountsRow,
  fromEventRow,
  fromGuestRow,
  fromRunRow,
  type GuestProgress,
  STORE_SCHEMA_VERSION,
  toCount,
  toEventRow,
  toGuestRow,
  toUnitRow,
} from './rows.js';
import { texts } from './sql-text.js';

/** What has rows of a guest; its end first: what is left when a removal dies is a guest that was interrupted. */
const GUEST_TABLES = ['guests', 'units'] as const;
/** Ids that one IN list or delete takes; keeps statements well below max_query_size (256 KiB). */
const IDS_PER_STATEMENT = 2_000;

function* slices<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

const tokenOf = (guest: GuestId, { generation }: GuestProgress, rest: string): string =>
  `${guest}/${generation}/${STORE_SCHEMA_VERSION}/${rest}`;

/**
 * The store over any ClickHouse.
 *
 * A unit is one row of one insert, so it is stored or not. Its insert has a token (guest, generation, unit, schema version), and
 * the table drops a token that it has seen within its window: an insert whose answer was lost may be repeated.
 */
class ClickHouseColumnStore implements ColumnStore {
  readonly #database: Database;
  /** Of guests that are being inserted; read again whenever somebody asks where to go on, as another process may have been there. */
  readonly #progress = new Map<GuestId, GuestProgress>();

  constructor(database: Database) {
    this.#database = database;
  }

  async insertUnit(unit: Unit): Promise<'inserted' | 'known'> {
    const { guestId, unit: number } = unit;
    const progress = this.#progress.get(guestId) ?? (await this.#readProgress(guestId));
    const { units } = progress;
    if (number < units) return 'known';
    if (number > units) throw new RangeError(`unit ${number} of guest ${guestId}, whose next is ${units}`);
    await this.#database.insert('units', [toUnitRow(unit)], tokenOf(guestId, progress, String(number)));
    this.#progress.set(guestId, { ...progress, units: units + 1 });
    return 'inserted';
  }

  async committedUnits(guest: GuestId): Promise<CommittedUnit[]> {
    return (await this.#database.query(committedUnitsSql(guest))).map(fromCommitRow);
  }

  async loadCheckpoint(guest: GuestId, unit: number): Promise<Uint8Array | undefined> {
    const [row] = await this.#database.query(checkpointSql(guest, unit));
    return row === undefined ? undefined : fromCheckpoint(String(row.checkpoint));
  }

  async resumePoint(guest: GuestId): Promise<ResumePoint> {
    const { units, nextChunk, complete } = await this.#readProgress(guest);
    if (units === 0) return { kind: 'beginning' };
    if (complete) return { kind: 'complete', units };
    const unit = units - 1;
    const checkpoint = await this.loadCheckpoint(guest, unit);
    if (checkpoint === undefined) throw new AppError('store/query-failed', `no checkpoint of unit ${unit} of ${guest}`);
    return { kind: 'after-unit', unit, nextChunk, checkpoint };
  }

  async insertGuest(guest: EndedGuest): Promise<void> {
    const known = await this.#database.query(`SELECT guest FROM guests WHERE guest IN (${texts([guest.guestId])})`);
    if (known.length === 0) {
      const progress = this.#progress.get(guest.guestId) ?? (await this.#readProgress(guest.guestId));
      await this.#database.insert('guests', [toGuestRow(guest)], tokenOf(guest.guestId, progress, 'guests'));
    }
    this.#progress.delete(guest.guestId);
  }

  async guests(run: RunId): Promise<EndedGuest[]> {
    return (await this.#database.query(guestsSql(run))).map(fromGuestRow);
  }

  async runs(): Promise<RunRow[]> {
    return (await this.#database.query(runsSql())).map(fromRunRow);
  }

  async insertEvents(events: readonly AnyEvent[]): Promise<void> {
    const byId = new Map(events.map((event) => [event.id, event]));
    for (const ids of slices([...byId.keys()], IDS_PER_STATEMENT)) {
      const known = await this.#database.query(`SELECT id FROM events WHERE id IN (${texts(ids)})`);
      const skipped = new Set(known.map(({ id }) => id));
      const fresh = ids.filter((id) => !skipped.has(id)).flatMap((id) => byId.get(id) ?? []);
      await this.#database.insert(
        'events',
        fresh.map(toEventRow),
        `events/${digestOf(fresh.map(({ id }) => id).join())}`,
      );
    }
  }

  async events(run: RunId): Promise<AnyEvent[]> {
    return (await this.#database.query(eventsSql(run))).map(fromEventRow);
  }

  async forget(guests: readonly GuestId[]): Promise<void> {
    for (const some of slices(guests, IDS_PER_STATEMENT)) {
      const rows = await this.#database.query(generationsSql(some));
      const generations = new Map(rows.map(({ guest, generation }) => [guest, toCount(generation)]));
      // The new generation is noted first: rows inserted after a crash from here on have tokens of their own.
      const removals = some.map((guest) => ({ guest, generation: (generations.get(guest) ?? 0) + 1 }));
      await this.#database.insert('removals', removals, `removals/${digestOf(JSON.stringify(removals))}`);
      for (const table of GUEST_TABLES) await this.#database.deleteRows(table, `guest IN (${texts(some)})`);
      for (const guest of some) this.#progress.delete(guest);
    }
  }

  async comparison(query: ComparisonQuery): Promise<Comparison[]> {
    const rows = await this.#database.query(comparisonSql(query));
    return rows.map((row) => fromCountsRow(row, [...DIMENSIONS, 'mode']) as Comparison);
  }

  async statistics<B extends ByStatistics>(query: StatisticsQuery<B>): Promise<StatisticsRow<B>[]> {
    const rows = await this.#database.query(statisticsSql(query));
    return rows.map(
      (row) => fromCountsRow(row, [...DIMENSIONS, ...STATISTICS[query.of].keys]) as unknown as StatisticsRow<B>,
    );
  }

  async contributions(query: ContributionQuery): Promise<Contribution[]> {
    const rows = await this.#database.query(contributionsSql(query));
    return rows.map((row) => fromCountsRow(row, ['name']) as Contribution);
  }

  async footprints(run: RunId): Promise<FootprintRow[]> {
    const rows = await this.#database.query(footprintsSql(run));
    return rows.map((row) => fromCountsRow(row, [...DIMENSIONS]) as FootprintRow);
  }

  async storedGuests(run: RunId): Promise<StoredGuest[]> {
    const rows = await this.#database.query(storedGuestsSql(run));
    return rows.map(({ digests, ...row }) => ({
      ...(fromCountsRow(row, ['guest']) as Omit<StoredGuest, 'digest'>),
      digest: digestOf(...(digests as string[])),
    }));
  }

  async ping(): Promise<void> {
    await this.#database.query('SELECT 1');
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  async #readProgress(guest: GuestId): Promise<GuestProgress> {
    const [[committed], [removed]] = await Promise.all([
      this.#database.query(committedSql(guest)),
      this.#database.query(generationsSql([guest])),
    ]);
    const progress = {
      units: toCount(committed?.units),
      nextChunk: toCount(committed?.nextChunk),
      complete: committed?.complete === true,
      generation: toCount(removed?.generation ?? 0),
    };
    this.#progress.set(guest, progress);
    return progress;
  }
}

/** The store over a database: brings its tables up to date first. @throws AppError `store/schema-mismatch` */
export const createColumnStore = async (database: Database): Promise<ColumnStore> => {
  await migrate(database);
  return new ClickHouseColumnStore(database);
};

/** Opens a store. @throws AppError `store/locked`, `store/unavailable`, `store/disk-full`, `store/schema-mismatch` */
export const openColumnStore = async (location: StoreLocation): Promise<ColumnStore> => {
  const database = await openDatabase(location);
  try {
    return await createColumnStore(database);
  } catch (error) {
    await database.close();
    throw error;
  }
};
