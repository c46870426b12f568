import type { AnyEvent, GuestId, RunId } from '@pvtrail/contracts';
import { digestOf } from '@pvtrail/primitives';
import {
  type ByStatistics,
  type Comparison,
  type Contribution,
  DIMENSIONS,
  type FootprintRow,
  type StatisticsRow,
} from './answers.js';
import type { Database } from './database.js';
import { migrate } from './migrate.js';
import { openDatabase, type StoreLocation } from './open-database.js';
import type { ColumnStore, CommittedUnit, EndedGuest, ResumePoint, RunRow, Unit } from './port.js';
import {
  type ComparisonQuery,
  type ContributionQuery,
  checkpointSql,
  committedUnitsSql,
  comparisonSql,
  contributionsSql,
  eventsSql,
  footprintsSql,
  guestsSql,
  orphansSql,
  runsSql,
  STATISTICS,
  type StatisticsQuery,
  statisticsSql,
} from './queries.js';
import {
  fromCheckpoint,
  fromCommitRow,
  fromCountsRow,
  fromEventRow,
  fromGuestRow,
  fromRunRow,
  STORE_SCHEMA_VERSION,
  toCommitRow,
  toCount,
  toEventRow,
  toGuestRow,
  toUnitRows,
  UNIT_TABLES,
} from './rows.js';
import { texts } from './sql-text.js';

/** Everything that has rows of a guest, the commit rows first: without them the rest counts no more. */
const GUEST_TABLES = ['units', 'guests', ...UNIT_TABLES] as const;
/** Ids that one IN list or delete takes; keeps statements well below max_query_size (256 KiB). */
const IDS_PER_STATEMENT = 2_000;

function* slices<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

/**
 * The store over any ClickHouse.
 *
 * Two things keep a unit that died half-way from being stored twice. Each insert has a token (guest, generation, unit, schema
 * version, table), and the tables drop a token that they have seen within their window. And what earlier processes left without a
 * commit row is found when the store is opened, so that those inserts are left out however long ago they were.
 */
class ClickHouseColumnStore implements ColumnStore {
  readonly #database: Database;
  /** `table/guest/unit` of rows that were there without a commit row when the store was opened. */
  readonly #orphans: Set<string>;
  readonly #generations: Map<GuestId, number>;
  /** The next unit of guests that are being inserted. */
  readonly #nextUnits = new Map<GuestId, number>();

  constructor(database: Database, orphans: Set<string>, generations: Map<GuestId, number>) {
    this.#database = database;
    this.#orphans = orphans;
    this.#generations = generations;
  }

  async insertUnit(unit: Unit): Promise<'inserted' | 'known'> {
    const { guestId, unit: number, last } = unit;
    const next = this.#nextUnits.get(guestId) ?? (await this.#nextUnit(guestId));
    if (number < next) return 'known';
    if (number > next) throw new RangeError(`unit ${number} of guest ${guestId}, whose next is ${next}`);
    const rows = toUnitRows(unit);
    for (const table of UNIT_TABLES) {
      if (this.#orphans.has(`${table}/${guestId}/${number}`)) continue;
      await this.#database.insert(table, rows[table], this.#token(guestId, `${number}/${table}`));
    }
    await this.#database.insert('units', [toCommitRow(unit)], this.#token(guestId, `${number}/units`));
    if (last) this.#nextUnits.delete(guestId);
    else this.#nextUnits.set(guestId, number + 1);
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
    const units = await this.committedUnits(guest);
    const last = units.at(-1);
    if (last === undefined) return { kind: 'beginning' };
    if (last.last) return { kind: 'complete', units: units.length };
    const checkpoint = await this.loadCheckpoint(guest, last.unit);
    if (checkpoint === undefined) return { kind: 'beginning' };
    return { kind: 'after-unit', unit: last.unit, nextChunk: last.firstChunk + last.chunks, checkpoint };
  }

  async insertGuest(guest: EndedGuest): Promise<void> {
    const known = await this.#database.query(`SELECT guest FROM guests WHERE guest IN (${texts([guest.guestId])})`);
    if (known.length > 0) return;
    await this.#database.insert('guests', [toGuestRow(guest)], this.#token(guest.guestId, 'guests'));
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
      // The new generation is noted first: rows inserted after a crash from here on have tokens of their own.
      const removals = some.map((guest) => ({ guest, generation: this.#generation(guest) + 1 }));
      await this.#database.insert('removals', removals, `removals/${digestOf(JSON.stringify(removals))}`);
      for (const { guest, generation } of removals) {
        this.#generations.set(guest, generation);
        this.#nextUnits.delete(guest);
      }
      for (const table of GUEST_TABLES) {
        await this.#database.command(
          `ALTER TABLE ${table} DELETE WHERE guest IN (${texts(some)}) SETTINGS mutations_sync = 2`,
        );
      }
      const forgotten = new Set<string>(some);
      for (const orphan of this.#orphans) {
        if (forgotten.has(orphan.split('/')[1] ?? '')) this.#orphans.delete(orphan);
      }
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

  async ping(): Promise<void> {
    await this.#database.query('SELECT 1');
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  async #nextUnit(guest: GuestId): Promise<number> {
    const units = await this.committedUnits(guest);
    return (units.at(-1)?.unit ?? -1) + 1;
  }

  #generation(guest: GuestId): number {
    return this.#generations.get(guest) ?? 0;
  }

  #token(guest: GuestId, rest: string): string {
    return `${guest}/${this.#generation(guest)}/${STORE_SCHEMA_VERSION}/${rest}`;
  }
}

const findOrphans = async (database: Database): Promise<Set<string>> => {
  const orphans = new Set<string>();
  for (const table of UNIT_TABLES) {
    for (const { guest, unit } of await database.query(orphansSql(table))) orphans.add(`${table}/${guest}/${unit}`);
  }
  return orphans;
};

const loadGenerations = async (database: Database): Promise<Map<GuestId, number>> => {
  const rows = await database.query('SELECT guest, max(generation) AS generation FROM removals GROUP BY guest');
  return new Map(rows.map(({ guest, generation }) => [guest as GuestId, toCount(generation)]));
};

/** The store over a database: brings its tables up to date first. @throws AppError `store/schema-mismatch` */
export const createColumnStore = async (database: Database): Promise<ColumnStore> => {
  await migrate(database);
  return new ClickHouseColumnStore(database, await findOrphans(database), await loadGenerations(database));
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
