import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { skippedWithoutBroker } from '@pvtrail/kafka-local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differing, tablesOf } from './tables.js';

const PVTRAIL = path.join(import.meta.dirname, '../apps/cli/bin/pvtrail.js');
const UP_MS = 240_000;
const RUN_MS = 400_000;
const POLL_MS = 100;

/** Guests of several kinds, one of them with more than one insert unit. */
const FLEET = `
label: distributed
guests:
  - { stage: v2.6.30, workload: mix, iterations: 6 }
  - { stage: nopv, workload: nullsyscall, replicas: 2 }
  - { stage: v2.6.29, workload: fork, replicas: 2 }
  - { stage: callee-save-pte, workload: pagefault, replicas: 2 }
  - { type: xen, stage: v2.6.30, workload: nullsyscall }
`;

interface Up {
  readonly api: string;
  readonly pids: Readonly<Record<string, number>>;
}

const skipped = skippedWithoutBroker();

describe.skipIf(skipped !== '')(`pvtrail up ${skipped}`, () => {
  let folder: string;
  let up: ChildProcess;
  let system: Up;

  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-up-'));
    fs.writeFileSync(path.join(folder, 'fleet.yaml'), FLEET);
    up = spawn(process.execPath, [PVTRAIL, '--data', path.join(folder, 'up'), 'up', '--port', '0', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    for await (const part of up.stdout ?? []) {
      text += part;
      if (text.endsWith('}\n')) break;
    }
    system = JSON.parse(text) as Up;
  }, UP_MS);

  afterAll(async () => {
    up.kill('SIGKILL');
    fs.rmSync(folder, { recursive: true, force: true });
  });

  const pvtrail = async (...args: string[]) => {
    const child = spawn(process.execPath, [PVTRAIL, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (part) => {
      stdout += part;
    });
    child.stderr.on('data', (part) => {
      stderr += part;
    });
    const [status] = await once(child, 'close');
    return { status, stdout, stderr };
  };

  /** Kills each service and the store with -9, one after the other, as guests of the run become done. */
  const killAsItGoes = async (victims: string[]): Promise<string[]> => {
    const killed: string[] = [];
    for (let done = 0; victims.length > 0; await delay(POLL_MS)) {
      const answer = await fetch(`${system.api}/v1/runs`).catch(() => undefined);
      const body =
        answer?.ok === true ? ((await answer.json()) as { runs: { state: string; done: number }[] }) : undefined;
      const [run] = body?.runs ?? [];
      if (run === undefined || run.done < done) continue;
      if (run.state !== 'running') break;
      const victim = victims.shift() ?? '';
      process.kill(system.pids[victim] ?? 0, 'SIGKILL');
      killed.push(victim);
      done = run.done + 1;
    }
    return killed;
  };

  it(
    'gives what one process gives, though each of its services is killed on the way',
    async () => {
      const fleet = ['run', '--fleet', path.join(folder, 'fleet.yaml'), '--json'];
      const embedded = await pvtrail('--data', path.join(folder, 'embedded'), ...fleet);
      expect([embedded.status, embedded.stderr]).toEqual([0, '']);

      const running = pvtrail('--server', system.api, ...fleet);
      const killed = await killAsItGoes(['guest-runner', 'analytics', 'store', 'patcher', 'api']);
      const distributed = await running;
      expect([distributed.status, distributed.stderr]).toEqual([0, '']);
      expect(killed.length).toBeGreaterThanOrEqual(3);
      expect(JSON.parse(distributed.stdout)).toEqual({ ...JSON.parse(embedded.stdout), resumedGuests: 0 });

      for (const question of [
        ['compare', '--metric', 'instructions'],
        ['compare', '--between', 'v2.6.29', 'callee-save-pte', '--by', 'function'],
      ]) {
        const [here, there] = await Promise.all([
          pvtrail('--data', path.join(folder, 'embedded'), ...question),
          pvtrail('--server', system.api, ...question),
        ]);
        expect(there).toEqual(here);
      }

      const { runId } = JSON.parse(distributed.stdout) as { runId: string };
      const audit = await pvtrail('--server', system.api, 'audit', runId, '--json');
      expect(JSON.parse(audit.stdout)).toMatchObject({ clean: true, produced: { guests: 8 }, differences: [] });

      const ended = once(up, 'exit');
      up.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      const stores = ['embedded', 'up'].map((name) => tablesOf(path.join(folder, name, 'store')));
      expect(differing(stores[0] ?? '', stores[1] ?? '')).toEqual([]);
    },
    RUN_MS,
  );
});
