import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

const MAIN = path.join(import.meta.dirname, '../dist/local-server/main.js');
const ROWS_PER_INSERT = 50;

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-process-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

type Running = { child: ChildProcess; ended: Promise<unknown[]>; client: ClickHouseClient };

const start = async (data: string): Promise<Running> => {
  const child = spawn(process.execPath, [MAIN, '--port', '0', '--data', path.join(folder, data)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [url] = await once(readline.createInterface({ input: child.stdout }), 'line');
  return { child, ended: once(child, 'exit'), client: createClient({ url, log: { level: ClickHouseLogLevel.OFF } }) };
};

const end = async ({ child, ended, client }: Running, signal: NodeJS.Signals): Promise<unknown[]> => {
  child.kill(signal);
  const status = await ended;
  await client.close();
  return status;
};

const CREATE = 'CREATE TABLE IF NOT EXISTS t (batch UInt32, x UInt32) ENGINE = MergeTree ORDER BY (batch, x)';

const insert = (client: ClickHouseClient, batch: number): Promise<unknown> => {
  const values = Array.from({ length: ROWS_PER_INSERT }, (_, x) => ({ batch, x }));
  return client.insert({ table: 't', values, format: 'JSONEachRow' });
};

const batchesOf = async (client: ClickHouseClient): Promise<{ batch: number; n: string }[]> =>
  (
    await client.query({
      query: 'SELECT batch, count() AS n FROM t GROUP BY batch ORDER BY batch',
      format: 'JSONEachRow',
    })
  ).json();

describe('npm run store:local', () => {
  it('kill -9 while rows go in: what was acknowledged is there when it is opened again, and no part of an insert', async () => {
    const acknowledged: number[] = [];
    let batch = 0;
    for (let life = 0; life < 3; life++) {
      const running = await start('killed');
      await running.client.command({ query: CREATE });
      const target = acknowledged.length + 10;
      const writers = Array.from({ length: 3 }, async () => {
        for (;;) {
          const mine = batch++;
          await insert(running.client, mine);
          acknowledged.push(mine);
          if (acknowledged.length === target) running.child.kill('SIGKILL');
        }
      });
      await Promise.allSettled(writers);
      expect(await end(running, 'SIGKILL')).toEqual([null, 'SIGKILL']);
    }
    const running = await start('killed');
    const batches = await batchesOf(running.client);
    expect(batches.filter(({ n }) => Number(n) !== ROWS_PER_INSERT)).toEqual([]);
    const there = new Set(batches.map((row) => row.batch));
    expect(acknowledged.filter((mine) => !there.has(mine))).toEqual([]);
    expect(acknowledged.length).toBeGreaterThanOrEqual(30);
    await end(running, 'SIGTERM');
  });

  it('told to stop, it answers what it has and ends with 0', async () => {
    const running = await start('stopped');
    await running.client.command({ query: CREATE });
    const slow = running.client.query({ query: 'SELECT sleep(1) AS slept', format: 'JSONEachRow' });
    const inserts = [insert(running.client, 1), insert(running.client, 2)];
    // The first answer shows that the requests before it have arrived.
    await running.client.ping();
    running.child.kill('SIGTERM');
    expect(await (await slow).json()).toEqual([{ slept: 0 }]);
    await Promise.all(inserts);
    expect(await running.ended).toEqual([0, null]);
    await running.client.close();
    const again = await start('stopped');
    expect((await batchesOf(again.client)).map((row) => row.batch)).toEqual([1, 2]);
    expect(await end(again, 'SIGINT')).toEqual([0, null]);
  });

  it('a full disk is NOT_ENOUGH_SPACE (243), also for the rows on their way; with room again it goes on', async (context) => {
    const disk = path.join(folder, 'disk');
    fs.mkdirSync(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      context.skip(true, 'skipped, because a small file system cannot be mounted here');
    }
    onTestFinished(() => void execFileSync('umount', ['-l', disk]));
    const running = await start('disk/data');
    await running.client.command({ query: CREATE });
    await insert(running.client, 1);
    const large = Readable.from(['1\t2\n'.repeat(4 << 20)], { objectMode: false });
    const upload = running.client.insert({ table: 't', values: large, format: 'TabSeparated' });
    await expect(upload).rejects.toMatchObject({ code: '243' });
    const { bavail, bsize } = fs.statfsSync(disk);
    fs.writeFileSync(path.join(disk, 'filler'), new Uint8Array(bavail * bsize - (64 << 10)));
    await expect(insert(running.client, 2)).rejects.toMatchObject({ code: '243' });
    fs.rmSync(path.join(disk, 'filler'));
    await insert(running.client, 3);
    expect((await batchesOf(running.client)).map((row) => row.batch)).toEqual([1, 3]);
    expect(await end(running, 'SIGTERM')).toEqual([0, null]);
  });

  it('a folder in use, a port in use, no port: said in a line', async () => {
    const running = await start('used');
    const attempt = (...args: string[]) => {
      const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
      return [status, stderr.split('\n').find((line) => line.startsWith('store:local:'))];
    };
    const locked = attempt('--port', '0', '--data', path.join(folder, 'used'));
    expect(locked).toEqual([1, expect.stringMatching(/^store:local: store\/locked: /)]);
    const { url } = (running.client as unknown as { connectionParams: { url: URL } }).connectionParams;
    const busy = attempt('--port', url.port, '--data', path.join(folder, 'other'));
    expect(busy).toEqual([1, expect.stringMatching(/^store:local: .*EADDRINUSE/)]);
    expect(attempt('--port', 'x')).toEqual([2, 'store:local: no port: x']);
    await end(running, 'SIGTERM');
  });
});
