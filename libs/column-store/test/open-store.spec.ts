import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';
import { digestOf } from '@pvtrail/primitives';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { guestIdNumber, unitOf } from '../src/contract/index.js';
import { type Database, openColumnStore, openDatabase } from '../src/index.js';
import { loadMigrations, type Migration, migrate } from '../src/migrate.js';
import { COUNTS, FRAME_SAVES, OP_COUNTS, SITE_COUNTS } from '../src/statistics.js';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-open-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

const withCode = (code: string) => expect.objectContaining({ code });

describe('opening an embedded store', () => {
  it('a second process is told that the store is locked, and gets it when the first is dead', async () => {
    const child = spawn(process.execPath, [path.join(import.meta.dirname, 'children/hold-store.mjs'), folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = new Promise((resolve) => child.once('exit', resolve));
    for await (const line of readline.createInterface({ input: child.stdout })) {
      expect(line).toBe('held');
      await expect(openColumnStore({ path: folder })).rejects.toEqual(withCode('store/locked'));
      child.kill('SIGKILL');
    }
    await exited;
    await (await openColumnStore({ path: folder })).close();
  });

  it('one process has one store open at a time', async () => {
    const store = await openColumnStore({ path: path.join(folder, 'one') });
    await expect(openColumnStore({ path: path.join(folder, 'two') })).rejects.toEqual(withCode('store/locked'));
    await store.close();
    await (await openColumnStore({ path: path.join(folder, 'two') })).close();
  });

  it('a path below a file is unavailable', async () => {
    fs.writeFileSync(path.join(folder, 'file'), '');
    await expect(openColumnStore({ path: path.join(folder, 'file/store') })).rejects.toEqual(
      withCode('store/unavailable'),
    );
  });

  const mounted = (): boolean => {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', folder], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };

  it('a full disk is store/disk-full, keeps the units before, and the unit goes in once there is space', async (context) => {
    context.skip(!mounted(), 'skipped, because a small file system cannot be mounted here');
    try {
      const noise = (index: number) => ({
        ...unitOf(1, index),
        checkpoint: Uint8Array.from(
          { length: 400_000 },
          (_, byte) => (Math.imul(byte + index, 0x9e3779b1) >>> 13) & 0xff,
        ),
      });
      const store = await openColumnStore({ path: path.join(folder, 'store') });
      let number = 0;
      const fill = async () => {
        for (; number < 1000; number++) await store.insertUnit(noise(number));
      };
      await expect(fill()).rejects.toEqual(withCode('store/disk-full'));
      expect((await store.committedUnits(guestIdNumber(1))).length).toBe(number);
      execFileSync('mount', ['-o', 'remount,size=64m', folder]);
      expect(await store.insertUnit(noise(number))).toBe('inserted');
      expect((await store.committedUnits(guestIdNumber(1))).length).toBe(number + 1);
      await store.close();
    } finally {
      execFileSync('umount', [folder]);
    }
  });
});

describe('migrations', () => {
  let database: Database;
  beforeEach(async () => {
    database = await openDatabase({ path: path.join(folder, 'store') });
  });
  afterEach(() => database.close());

  const made = (number: number, sql: string): Migration => ({
    number,
    name: `${number}.sql`,
    sql,
    checksum: digestOf(sql),
  });
  const first = made(1, 'CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = MergeTree ORDER BY x;\n');
  const second = made(
    2,
    'ALTER TABLE a ADD COLUMN IF NOT EXISTS y UInt8;\nALTER TABLE a ADD COLUMN IF NOT EXISTS z UInt8;\n',
  );

  it('are applied once, in order, later ones later', async () => {
    expect(await migrate(database, [first])).toEqual([1]);
    expect(await migrate(database, [first, second])).toEqual([2]);
    expect(await migrate(database, [first, second])).toEqual([]);
    const columns = await database.query("SELECT name FROM system.columns WHERE table = 'a' ORDER BY position");
    expect(columns.map(({ name }) => name)).toEqual(['x', 'y', 'z']);
  });

  it('one that failed half-way is finished the next time', async () => {
    const broken = made(2, `${second.sql}nonsense;\n`);
    await migrate(database, [first]);
    await expect(migrate(database, [first, broken])).rejects.toEqual(withCode('store/query-failed'));
    expect(await migrate(database, [first, second])).toEqual([2]);
  });

  it('a changed or unknown one is refused', async () => {
    await migrate(database, [first, second]);
    const changed = made(2, '-- something else\n');
    await expect(migrate(database, [first, changed])).rejects.toEqual(withCode('store/schema-mismatch'));
    await expect(migrate(database, [first])).rejects.toEqual(withCode('store/schema-mismatch'));
  });

  it('numbers without gaps are demanded', () => {
    fs.writeFileSync(path.join(folder, '0001-a.sql'), '');
    fs.writeFileSync(path.join(folder, '0003-b.sql'), '');
    expect(() => loadMigrations(pathToFileURL(`${folder}/`))).toThrowError(RangeError);
  });
});

describe('the tables', () => {
  let tables: string;
  let database: Database;
  beforeAll(async () => {
    tables = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-tables-'));
    database = await openDatabase({ path: tables });
    await migrate(database);
  });
  afterAll(async () => {
    await database.close();
    fs.rmSync(tables, { recursive: true });
  });

  it('every column has a comment', async () => {
    const made = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MergeTree'";
    const sql = `SELECT table, name FROM system.columns WHERE database = currentDatabase() AND table IN (${made}) AND comment = ''`;
    expect(await database.query(sql)).toEqual([]);
  });

  it.each([
    ['unit_totals', COUNTS],
    ['function_statistics', [...COUNTS, ...FRAME_SAVES, 'entries']],
    ['site_statistics', SITE_COUNTS],
    ['op_statistics', OP_COUNTS],
  ])('%s has a column for each count', async (table, counts) => {
    const columns = await database.query(
      `SELECT name FROM system.columns WHERE table = '${table}' AND type = 'UInt64'`,
    );
    const names = columns.map(({ name }) => String(name)).filter((name) => !name.startsWith('ledger'));
    expect(names.toSorted()).toEqual([...counts].toSorted());
  });
});
