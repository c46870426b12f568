import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeEventLogContract } from '../src/contract/index.js';
import { type LogRecord, openSqliteLog, openSqliteLogReader, type Subscription } from '../src/index.js';

const temporaryFolder = (): string => fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-log-'));

describeEventLogContract('sqlite', async () => {
  const folder = temporaryFolder();
  return {
    open: async () => openSqliteLog({ file: path.join(folder, 'log.db') }),
    dispose: async () => fs.rmSync(folder, { recursive: true }),
  };
});

const startChild = (script: string, file: string): ChildProcess =>
  spawn(process.execPath, [path.join(import.meta.dirname, 'children', script), file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });

async function* linesOf(child: ChildProcess): AsyncGenerator<string> {
  if (child.stdout === null) throw new Error('the child has no stdout');
  yield* readline.createInterface({ input: child.stdout });
}

const subscription: Subscription = {
  group: 'g',
  topics: ['t'],
  maxRecords: 100,
  maxBytes: 1 << 20,
  retry: { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
};

describe('sqlite event log', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = temporaryFolder();
    file = path.join(folder, 'log.db');
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  const allOf = async (topic: string): Promise<LogRecord[]> => {
    const log = openSqliteLogReader(file);
    const records: LogRecord[] = [];
    for await (const record of log.read(topic)) records.push(record);
    await log.close();
    return records;
  };

  it.each([3, 40, 120])(
    'kill -9 after acknowledgement %i loses nothing acknowledged and leaves no part of a batch',
    async (kills) => {
      const child = startChild('publish-until-killed.mjs', file);
      let acked = -1;
      let committed = -1;
      let handled = -1;
      let acknowledgements = 0;
      for await (const line of linesOf(child)) {
        const [what, number] = line.split(' ');
        if (what === 'committed') committed = Number(number);
        if (what === 'handling') handled = Number(number);
        if (what !== 'acked') continue;
        acked = Number(number);
        if (++acknowledgements === kills) child.kill('SIGKILL');
      }
      const numbers = (await allOf('t')).map(({ headers, value }) => {
        expect(value.every((byte) => byte === (Number(headers.number) & 0xff))).toBe(true);
        return Number(headers.number);
      });
      expect(numbers).toEqual(numbers.map((_, index) => index));
      expect(numbers.length % 5).toBe(0);
      expect(numbers.length).toBeGreaterThan(acked);

      const log = openSqliteLog({ file });
      const again: number[] = [];
      const consumer = log.consume(subscription, async ({ records }) => {
        again.push(...records.map(({ headers }) => Number(headers.number)));
        return undefined;
      });
      await consumer.drained();
      await log.close();
      const first = again[0] ?? numbers.length;
      expect(first).toBeGreaterThan(committed);
      expect(first).toBeLessThanOrEqual(handled + 1);
      expect(again).toEqual(numbers.slice(first));
    },
  );

  it('a second writing process is told that the log is locked, and gets it when the first is dead', async () => {
    const child = startChild('hold.mjs', file);
    for await (const line of linesOf(child)) {
      expect(line).toBe('held');
      expect(() => openSqliteLog({ file })).toThrowError(expect.objectContaining({ code: 'log/locked' }));
      child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    await openSqliteLog({ file }).close();
  });

  it('a reader beside the writer sees what is committed', async () => {
    const log = openSqliteLog({ file });
    await log.publish('t', [{ key: 'k', value: Buffer.from('1'), headers: {} }]);
    expect((await allOf('t')).length).toBe(1);
    await log.publish('t', [{ key: 'k', value: Buffer.from('2'), headers: {} }]);
    expect((await allOf('t')).length).toBe(2);
    await log.close();
  });

  it('a full log refuses a whole batch, keeps the rest, and takes more after truncation', async () => {
    const log = openSqliteLog({ file, maxBytes: 1 << 20 });
    const large = { key: 'k', value: Buffer.alloc(300_000, 1), headers: {} };
    await log.publish('t', [large, large]);
    await expect(log.publish('t', [large, large])).rejects.toEqual(expect.objectContaining({ code: 'log/disk-full' }));
    const stored = await allOf('t');
    expect(stored.length).toBe(2);
    await log.truncate('t', 0, (stored[1]?.offset ?? 0) + 1);
    await log.publish('t', [large, large]);
    expect((await allOf('t')).length).toBe(2);
    await log.close();
  });

  it('two consumers of one group and topic in one process are refused', async () => {
    const log = openSqliteLog({ file });
    log.consume(subscription, async () => undefined);
    expect(() => log.consume(subscription, async () => undefined)).toThrowError(
      expect.objectContaining({ code: 'log/locked' }),
    );
    await log.close();
  });

  it('a file that is no log is unavailable, and stays as it is', () => {
    fs.writeFileSync(file, 'x'.repeat(10_000));
    expect(() => openSqliteLog({ file })).toThrowError(expect.objectContaining({ code: 'log/unavailable' }));
    expect(fs.readFileSync(file, 'utf8')).toBe('x'.repeat(10_000));
  });

  it('a log of another format version is unavailable', () => {
    const other = new DatabaseSync(file);
    other.exec('PRAGMA user_version = 99');
    other.close();
    expect(() => openSqliteLog({ file })).toThrowError(expect.objectContaining({ code: 'log/unavailable' }));
  });

  it('a missing log cannot be opened for reading', () => {
    expect(() => openSqliteLogReader(file)).toThrowError(expect.objectContaining({ code: 'log/unavailable' }));
  });
});
