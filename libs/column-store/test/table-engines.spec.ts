import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../src/index.js';
import { HISTORY, loadMigrations, statementsOf } from '../src/migrate.js';
import { definitionsFor, deletableTable, type TableEngines } from '../src/table-engines.js';

const STATEMENTS = [HISTORY, ...loadMigrations().flatMap(({ sql }) => statementsOf(sql))];
const REPLICATED = { kind: 'replicated', cluster: 'main' } as const;
const DISTRIBUTED = { kind: 'distributed', cluster: "the 'main' one" } as const;

const CREATE = `CREATE TABLE IF NOT EXISTS units (
  guest FixedString(32) COMMENT 'guest id',
  unit  UInt32          COMMENT 'number'
) ENGINE = MergeTree ORDER BY (unit, guest)
SETTINGS non_replicated_deduplication_window = 10000`;

describe('table engines', () => {
  let folder: string;
  let database: Database;
  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-engines-'));
    database = await openDatabase({ path: folder });
  });
  afterAll(async () => {
    await database.close();
    fs.rmSync(folder, { recursive: true });
  });

  it('one server has the tables of the migrations, with the window configured', () => {
    expect(definitionsFor(CREATE, { kind: 'merge-tree' })).toEqual([CREATE]);
    expect(definitionsFor(CREATE, { kind: 'merge-tree' }, 77)).toEqual([CREATE.replace('10000', '77')]);
  });

  it('replicated tables remember tokens in Keeper', () => {
    expect(definitionsFor(CREATE, REPLICATED, 77)).toEqual([
      `CREATE TABLE IF NOT EXISTS units ON CLUSTER 'main' (
  guest FixedString(32) COMMENT 'guest id',
  unit  UInt32          COMMENT 'number'
) ENGINE = ReplicatedMergeTree ORDER BY (unit, guest)
SETTINGS replicated_deduplication_window = 77, replicated_deduplication_window_seconds = 2592000`,
    ]);
  });

  it('distributed tables stand over replicated ones, a guest in one shard', () => {
    const [local, over] = definitionsFor(CREATE, DISTRIBUTED);
    expect(local).toContain("CREATE TABLE IF NOT EXISTS units_local ON CLUSTER 'the \\'main\\' one' (");
    expect(over).toBe(
      [
        "CREATE TABLE IF NOT EXISTS units ON CLUSTER 'the \\'main\\' one' AS units_local",
        "ENGINE = Distributed('the \\'main\\' one', currentDatabase(), units_local, cityHash64(guest))",
      ].join('\n'),
    );
  });

  it.each([
    [{ kind: 'merge-tree' }, ['ALTER TABLE t ADD COLUMN x UInt8'], 't'],
    [REPLICATED, ["ALTER TABLE t ON CLUSTER 'main' ADD COLUMN x UInt8"], "t ON CLUSTER 'main'"],
    [
      { kind: 'distributed', cluster: 'main' },
      [
        "ALTER TABLE t_local ON CLUSTER 'main' ADD COLUMN x UInt8",
        "ALTER TABLE t ON CLUSTER 'main' ADD COLUMN x UInt8",
      ],
      "t_local ON CLUSTER 'main'",
    ],
  ] satisfies [TableEngines, string[], string][])(
    '%j: what is altered, and where rows are deleted',
    (engines, altered, from) => {
      expect(definitionsFor('ALTER TABLE t ADD COLUMN x UInt8', engines)).toEqual(altered);
      expect(deletableTable('t', engines)).toBe(from);
    },
  );

  it('views are made on every server', () => {
    const view = 'CREATE VIEW IF NOT EXISTS v AS\nSELECT 1';
    expect(definitionsFor(view, { kind: 'merge-tree' })).toEqual([view]);
    expect(definitionsFor(view, DISTRIBUTED)).toEqual([
      "CREATE VIEW IF NOT EXISTS v ON CLUSTER 'the \\'main\\' one' AS\nSELECT 1",
    ]);
  });

  it('other statements are refused', () => {
    expect(() => definitionsFor('DROP TABLE t', REPLICATED)).toThrow(RangeError);
  });

  it.each([REPLICATED, DISTRIBUTED])('the engine parses every migration for $kind tables', async (engines) => {
    const definitions = STATEMENTS.flatMap((statement) => definitionsFor(statement, engines));
    const views = STATEMENTS.filter((statement) => statement.includes('CREATE VIEW')).length;
    const tables = STATEMENTS.length - views;
    expect(definitions.length).toBe(views + tables * (engines.kind === 'distributed' ? 2 : 1));
    for (const definition of definitions) {
      expect(definition).not.toMatch(/ENGINE = MergeTree|non_replicated/);
      await database.query(`EXPLAIN AST ${definition}`);
    }
  });
});
