import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type LocalBroker, skippedWithoutBroker, startLocalBroker } from '../src/index.js';

const skipped = skippedWithoutBroker();

const connects = (bootstrap: string): Promise<boolean> =>
  new Promise((resolve) => {
    const [host = '', port] = bootstrap.split(':');
    const socket = net.connect(Number(port), host);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

const isAlive = (pid: number): boolean => {
  const state = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
  return state !== '' && !state.startsWith('Z');
};

describe.skipIf(skipped !== '')(`local broker ${skipped}`, () => {
  let folder: string;
  let broker: LocalBroker;
  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-broker-'));
    broker = await startLocalBroker({ folder });
  });
  afterAll(async () => {
    await broker.stop();
    fs.rmSync(folder, { recursive: true });
  });

  it('takes connections on loopback, and again after kill -9', async () => {
    expect(broker.bootstrap).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await connects(broker.bootstrap)).toBe(true);
    const { pid } = broker;
    await broker.kill();
    expect(await connects(broker.bootstrap)).toBe(false);
    await broker.restart();
    expect(broker.pid).not.toBe(pid);
    expect(await connects(broker.bootstrap)).toBe(true);
  });

  it('says with its log why it cannot start', async () => {
    const taken = Number(broker.bootstrap.split(':')[1]);
    const other = path.join(folder, 'other');
    await expect(startLocalBroker({ folder: other, port: taken })).rejects.toThrowError(
      expect.objectContaining({ code: 'broker/not-started', message: expect.stringContaining('in use') }),
    );
  });

  it('dies with the process that started it', async () => {
    const script = path.join(import.meta.dirname, 'children/start-and-wait.mjs');
    const parent = spawn(process.execPath, [script, path.join(folder, 'orphan')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(readline.createInterface({ input: parent.stdout }), 'line')) as [string];
    const pid = Number(line);
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 10_000 });
  });
});

describe('a local broker without Java', () => {
  it('is refused with what to install', async () => {
    vi.stubEnv('PATH', '/nonexistent');
    await expect(startLocalBroker({ folder: '/nonexistent' })).rejects.toThrowError(
      expect.objectContaining({ code: 'broker/missing-tool', message: expect.stringContaining('Java 17') }),
    );
    vi.unstubAllEnvs();
  });
});
