import { type AnyEvent, makeEvent, type RunId, runIdOf, type Stage } from '@pvtrail/contracts';
import { digestOf } from '@pvtrail/primitives';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../database.js';
import type { ColumnStore, Unit } from '../port.js';
import { text, texts } from '../sql-text.js';
import { COUNTS } from '../statistics.js';
import { endedGuest, guestIdNumber, unitOf } from './made-up-units.js';

/** An empty database that can be opened again after it was closed. */
export type StoreUnderTest = {
  /** The database itself, to look at tables and to fail inserts. */
  openDatabase(): Promise<Database>;
  createStore(database: Database): Promise<ColumnStore>;
  dispose(): Promise<void>;
};

class StatementRefused extends Error {}

/** Passes everything on, but the first insert fails: before it is made, or only its answer. */
const failingInsert = (inner: Database, made: boolean): Database => {
  let inserts = 0;
  return {
    insert: async (table, rows, token) => {
      const first = ++inserts === 1;
      if (!first || made) await inner.insert(table, rows, token);
      if (first) throw new StatementRefused();
    },
    query: (sql) => inner.query(sql),
    define: (statement) => inner.define(statement),
    deleteRows: (table, condition) => inner.deleteRows(table, condition),
    close: () => inner.close(),
  };
};

/** Passes everything on, but fails from the n-th removal on. */
const failingRemoval = (inner: Database, removal: number): Database => {
  let removals = 0;
  return {
    insert: (table, rows, token) => inner.insert(table, rows, token),
    query: (sql) => inner.query(sql),
    define: (statement) => inner.define(statement),
    deleteRows: async (table, condition) => {
      if (++removals >= removal) throw new StatementRefused();
      await inner.deleteRows(table, condition);
    },
    close: () => inner.close(),
  };
};

const TABLES = [
  'chunks',
  'unit_totals',
  'function_statistics',
  'site_statistics',
  'op_statistics',
  'cause_statistics',
  'units',
] as const;
const GUESTS_OF_A_TEST = 10;

const sum = (units: readonly Unit[], of: (unit: Unit) => number): number =>
  units.reduce((total, unit) => total + of(unit), 0);

/** What every adapter of the store promises. */
export const describeColumnStoreContract = (adapter: string, create: () => Promise<StoreUnderTest>): void => {
  describe(`column store contract: ${adapter}`, () => {
    let target: StoreUnderTest;
    let database: Database;
    let store: ColumnStore;
    /** Each test has guests and a run of its own, beside those of the tests before it. */
    let firstGuest = 0;
    let run: RunId;
    const guest = (index: number) => guestIdNumber(firstGuest + index);
    const unit = (index: number, number: number, last = false) => unitOf(firstGuest + index, number, last);
    const ended = (index: number, spec: object = {}) => ({ ...endedGuest(firstGuest + index, spec), runId: run });

    const open = async () => {
      database = await target.openDatabase();
      store = await target.createStore(database);
    };
    const restart = async () => {
      await store.close();
      await open();
    };
    const ofThisTest = () => texts(Array.from({ length: GUESTS_OF_A_TEST }, (_, index) => guest(index)));
    const rowCounts = async (): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (const table of TABLES) {
        const [row] = await database.query(`SELECT count() AS n FROM ${table} WHERE guest IN (${ofThisTest()})`);
        counts[table] = Number(row?.n);
      }
      return counts;
    };
    const ONE_UNIT = {
      chunks: 2,
      unit_totals: 2,
      function_statistics: 7,
      site_statistics: 9,
      op_statistics: 5,
      cause_statistics: 5,
      units: 1,
    };

    beforeAll(async () => {
      target = await create();
      await open();
    });
    beforeEach(() => {
      firstGuest += GUESTS_OF_A_TEST;
      run = runIdOf(`the contract's run of guest ${firstGuest}`);
    });
    afterAll(async () => {
      await store.close();
      await target.dispose();
    });

    describe('units', () => {
      it('a unit is stored once, however often it is inserted', async () => {
        expect(await store.insertUnit(unit(1, 0))).toBe('inserted');
        expect(await store.insertUnit(unit(1, 0))).toBe('known');
        await restart();
        expect(await store.insertUnit(unit(1, 0))).toBe('known');
        expect(await rowCounts()).toEqual(ONE_UNIT);
      });

      it('rows with a token that the table has seen are dropped', async () => {
        const rows = [{ guest: guest(1), generation: 1 }];
        await database.insert('removals', rows, `a token of ${guest(1)}`);
        await database.insert('removals', rows, `a token of ${guest(1)}`);
        await database.insert('removals', rows, `another token of ${guest(1)}`);
        const counted = await database.query(`SELECT count() AS n FROM removals WHERE guest = ${text(guest(1))}`);
        expect(counted).toEqual([{ n: '2' }]);
      });

      it.each([
        ['that failed', false],
        ['whose answer was lost', true],
      ])('an insert %s is made again: no row is twice or missing', async (_, made) => {
        const failing = await target.createStore(failingInsert(database, made));
        await expect(failing.insertUnit(unit(1, 0))).rejects.toThrow(StatementRefused);
        expect((await store.committedUnits(guest(1))).length).toBe(made ? 1 : 0);
        expect(await failing.insertUnit(unit(1, 0))).toBe('inserted');
        expect(await rowCounts()).toEqual(ONE_UNIT);
        await restart();
        expect(await store.insertUnit(unit(1, 0))).toBe('known');
        expect(await rowCounts()).toEqual(ONE_UNIT);
      });

      it('a unit in which nothing of a kind was executed is stored too', async () => {
        const { statistics, ...rest } = unit(1, 0);
        await store.insertUnit({ ...rest, statistics: { ...statistics, perSite: [], perOp: [] } });
        expect(await rowCounts()).toEqual({ ...ONE_UNIT, site_statistics: 0, op_statistics: 0 });
      });

      it('a unit out of turn is refused', async () => {
        await store.insertUnit(unit(1, 0));
        await expect(store.insertUnit(unit(1, 2))).rejects.toThrow(RangeError);
      });

      it('a checkpoint comes back byte by byte', async () => {
        const checkpoint = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) & 0xff);
        await store.insertUnit({ ...unit(1, 0), checkpoint });
        expect(await store.loadCheckpoint(guest(1), 0)).toEqual(checkpoint);
        expect(await store.loadCheckpoint(guest(1), 1)).toBeUndefined();
      });

      it('a guest goes on after its last committed unit', async () => {
        expect(await store.resumePoint(guest(1))).toEqual({ kind: 'beginning' });
        await store.insertUnit(unit(1, 0));
        await store.insertUnit(unit(1, 1));
        await store.insertUnit(unit(2, 0));
        expect(await store.resumePoint(guest(1))).toEqual({
          kind: 'after-unit',
          unit: 1,
          nextChunk: 4,
          checkpoint: unit(1, 1).checkpoint,
        });
        await store.insertUnit(unit(1, 2, true));
        expect(await store.resumePoint(guest(1))).toEqual({ kind: 'complete', units: 3 });
      });
    });

    describe('queries', () => {
      let units: readonly Unit[];
      beforeEach(async () => {
        units = [unit(1, 0), unit(1, 1, true)];
        for (const each of units) await store.insertUnit(each);
        await store.insertGuest(ended(1));
      });

      it('a comparison sums every count over the units, by mode', async () => {
        const rows = await store.comparison({ runs: [run], by: ['type', 'bits', 'stage', 'workload'] });
        expect(rows.map(({ mode }) => mode)).toEqual(['kernel', 'user']);
        for (const row of rows) {
          expect(row).toMatchObject({ type: 'native', bits: 64, stage: 'v2.6.29', workload: 'fork', guests: 1 });
          for (const count of COUNTS) {
            expect([count, row[count]]).toEqual([
              count,
              sum(units, ({ statistics }) => statistics.totals[row.mode][count]),
            ]);
          }
        }
        expect(rows[0]?.privileged.iret).toBe(sum(units, ({ statistics }) => statistics.privileged[1]?.count ?? 0));
        const trapsOf = (kind: number) =>
          sum(units, ({ statistics }) =>
            statistics.events.reduce(
              (n, { kind: of, number, count }) => n + (of === 'trap' && number === kind ? count : 0),
              0,
            ),
          );
        expect(rows[0]?.traps).toEqual({ 1: trapsOf(1), 3: trapsOf(3) });
        expect(rows[0]?.interrupts).toEqual({ 32: sum(units, ({ statistics }) => statistics.events[0]?.count ?? 0) });
        expect(rows[0]?.ledgerStackMoves).toBe(sum(units, ({ statistics }) => statistics.ledger.stackMoves));
      });

      it('a guest that has not ended, or failed, is not compared', async () => {
        await store.insertUnit(unit(2, 0));
        const { runId, guestId, index, spec, image } = ended(3);
        await store.insertUnit(unit(3, 0));
        await store.insertGuest({ runId, guestId, index, spec, image, state: 'failed', errorCode: 'guest/deadlock' });
        const rows = await store.comparison({ runs: [run], by: ['guest'] });
        expect(new Set(rows.map(({ guest }) => guest))).toEqual(new Set([guest(1)]));
      });

      it('filters narrow a comparison', async () => {
        const by = ['guest'] as const;
        const some = { runs: [run], by: [...by] };
        expect((await store.comparison({ ...some, bits: 64, workloads: ['fork'], types: ['native'] })).length).toBe(2);
        expect(await store.comparison({ ...some, bits: 32 })).toEqual([]);
        expect(await store.comparison({ ...some, stages: ['nopv'] })).toEqual([]);
      });

      it.each(['op', 'site', 'function', 'cause'] as const)('statistics by %s sum over the units', async (of) => {
        const tables = { op: 'perOp', site: 'perSite', function: 'perFunction', cause: 'perCause' } as const;
        const rows = await store.statistics({ runs: [run], by: ['stage'], of });
        const [first, second] = units.map(
          ({ statistics }) => statistics[tables[of]] as readonly Record<string, unknown>[],
        );
        const expected = (first ?? []).map((row, index) => {
          const other = second?.[index] ?? {};
          const summed = Object.entries(row).map(([name, value]) => [
            name,
            typeof value === 'number' ? value + Number(other[name]) : value,
          ]);
          return { stage: 'v2.6.29', ...Object.fromEntries(summed) };
        });
        const order = (a: object, b: object) =>
          JSON.stringify(Object.values(a)) < JSON.stringify(Object.values(b)) ? -1 : 1;
        expect(rows.toSorted(order)).toEqual(expected.toSorted(order));
      });

      it('contributions are the differences between two stages, largest first', async () => {
        await store.insertUnit(unit(2, 0, true));
        await store.insertGuest(ended(2, { stage: 'v2.6.30' }));
        const executions = (of: readonly Unit[], op: string) =>
          sum(of, ({ statistics }) => statistics.perOp.find((row) => row.op === op)?.executions ?? 0);
        const expected = Array.from({ length: 5 }, (_, index) => {
          const name = `op.${index}`;
          const before = executions(units, name);
          const after = executions([unit(2, 0)], name);
          return { name, before, after, difference: after - before };
        }).toSorted((a, b) => Math.abs(b.difference) - Math.abs(a.difference));
        const [before, after]: Stage[] = ['v2.6.29', 'v2.6.30'];
        if (before === undefined || after === undefined) throw new Error('two stages');
        const query = { runs: [run], of: 'op' as const, metric: 'executions', before, after, limit: 3 };
        expect(await store.contributions(query)).toEqual(expected.slice(0, 3));
      });

      it('an unknown metric or dimension is refused by name', async () => {
        const refused = expect.objectContaining({ code: 'input/invalid' });
        const wrong = {
          runs: [run],
          of: 'op' as const,
          metric: 'saves',
          before: 'nopv',
          after: 'nopv',
          limit: 1,
        } as const;
        await expect(store.contributions(wrong)).rejects.toEqual(refused);
        await expect(store.comparison({ runs: [run], by: ['1; DROP TABLE units' as 'stage'] })).rejects.toEqual(
          refused,
        );
      });

      it('stored guests show what is there at each step', async () => {
        const chunks = units.flatMap((of) => of.chunks);
        const total = <T>(rows: readonly T[], of: (row: T) => number) => rows.reduce((all, row) => all + of(row), 0);
        const counted = sum(
          units,
          ({ statistics: { totals } }) => totals.kernel.instructions + totals.user.instructions,
        );
        const functions = units.flatMap(({ statistics }) => statistics.perFunction);
        const instructions = total(chunks, (chunk) => chunk.instructions);
        expect((await store.storedGuests(run))[0]).toEqual({
          guest: guest(1),
          chunks: chunks.length,
          instructions,
          bytes: total(chunks, (chunk) => chunk.bytes),
          digest: digestOf(...chunks.map(({ digest }) => digest)),
          committedUnits: units.length,
          committedChunks: chunks.length,
          committedInstructions: instructions,
          countedInstructions: counted,
          functionInstructions: total(functions, (row) => row.instructions),
        });
      });

      it('footprints show sizes and executions of each guest', async () => {
        const kernel = (of: (unit: Unit['statistics']['totals']['kernel']) => number) =>
          sum(units, ({ statistics }) => of(statistics.totals.kernel));
        expect(await store.footprints(run)).toEqual([
          {
            guest: guest(1),
            type: 'native',
            bits: 64,
            stage: 'v2.6.29',
            workload: 'fork',
            footprint: 'hot',
            kernelInstructions: kernel(({ instructions }) => instructions),
            userInstructions: sum(units, ({ statistics }) => statistics.totals.user.instructions),
            kernelTextBytes: kernel(({ newTextBytes }) => newTextBytes),
            dataReferences: kernel(({ dataReads, dataWrites }) => dataReads + dataWrites),
            repReferences: kernel(({ repReferences }) => repReferences),
            functions: 7,
            sites: 9,
            executions: Object.fromEntries(
              Array.from({ length: 5 }, (_, op) => [
                `op.${op}`,
                sum(units, ({ statistics }) => statistics.perOp[op]?.executions ?? 0),
              ]),
            ),
          },
        ]);
      });

      it('a guest noted twice is there once and comes back as it was', async () => {
        await store.insertGuest(ended(1));
        expect(await store.guests(run)).toEqual([ended(1)]);
        expect(await store.runs()).toContainEqual({ runId: run, finished: 1, failed: 0, instructions: 4_000_000 });
      });
    });

    describe('events', () => {
      let completed: AnyEvent;
      let cancelled: AnyEvent;
      beforeEach(() => {
        const time = new Date('2026-11-24T00:00:00.123Z');
        const totals = { runId: run, guests: 1, instructions: 2 ** 50, chunks: 4, bytes: 5 };
        completed = makeEvent('RunCompleted', totals, { runId: run, time });
        cancelled = makeEvent('RunCancelled', { runId: run }, { runId: run, time: new Date('2026-11-24T00:00:01Z') });
      });

      it('come back as they were, in order of time', async () => {
        await store.insertEvents([cancelled, completed]);
        expect(await store.events(run)).toEqual([completed, cancelled]);
      });

      it('an event delivered again is not there twice, in whatever batch it comes', async () => {
        await store.insertEvents([completed]);
        await store.insertEvents([completed, cancelled]);
        await restart();
        await store.insertEvents([cancelled, completed]);
        expect((await store.events(run)).length).toBe(2);
      });
    });

    describe('forgetting', () => {
      it('a forgotten guest can be inserted again, others stay', async () => {
        for (const index of [1, 2]) await store.insertUnit(unit(index, 0, true));
        await store.insertGuest(ended(1));
        await store.forget([guest(1)]);
        expect(await rowCounts()).toEqual(ONE_UNIT);
        expect(await store.guests(run)).toEqual([]);
        expect(await store.insertUnit(unit(1, 0, true))).toBe('inserted');
        await store.insertGuest(ended(1));
        await restart();
        const twice = Object.fromEntries(Object.entries(ONE_UNIT).map(([table, rows]) => [table, 2 * rows]));
        expect(await rowCounts()).toEqual(twice);
        expect((await store.guests(run)).length).toBe(1);
      });

      it.each([1, 2])(
        'a removal that died at table %i leaves a guest that is whole, or whose end is missing',
        async (removal) => {
          for (const number of [0, 1]) await store.insertUnit(unit(1, number, number === 1));
          await store.insertGuest(ended(1));
          const before = await rowCounts();
          const dying = await target.createStore(failingRemoval(database, removal));
          await expect(dying.forget([guest(1)])).rejects.toThrow(StatementRefused);
          expect((await store.guests(run)).length).toBe(removal === 1 ? 1 : 0);
          expect(await store.resumePoint(guest(1))).toEqual({ kind: 'complete', units: 2 });
          await store.insertGuest(ended(1));
          expect([await rowCounts(), await store.guests(run)]).toEqual([before, [ended(1)]]);
        },
      );

      it('a guest that another process forgot is inserted anew', async () => {
        await store.insertUnit(unit(1, 0));
        const other = await target.createStore(database);
        await other.forget([guest(1)]);
        expect(await store.resumePoint(guest(1))).toEqual({ kind: 'beginning' });
        expect(await store.insertUnit(unit(1, 0))).toBe('inserted');
        expect(await other.resumePoint(guest(1))).toMatchObject({ kind: 'after-unit', unit: 0 });
        expect(await rowCounts()).toEqual(ONE_UNIT);
      });

      it('a guest goes on where another process left off', async () => {
        const other = await target.createStore(database);
        await store.insertUnit(unit(1, 0));
        await other.resumePoint(guest(1));
        await other.insertUnit(unit(1, 1));
        expect(await store.resumePoint(guest(1))).toMatchObject({ kind: 'after-unit', unit: 1 });
        expect(await store.insertUnit(unit(1, 1))).toBe('known');
        expect(await store.insertUnit(unit(1, 2, true))).toBe('inserted');
        expect(await other.resumePoint(guest(1))).toEqual({ kind: 'complete', units: 3 });
      });
    });
  });
};
