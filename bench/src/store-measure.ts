import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { openColumnStore, type Unit } from '@pvtrail/column-store';
import { guestIdOf, runIdOf } from '@pvtrail/contracts';
import { digestOf } from '@pvtrail/primitives';
import { analysedUnit } from './analysed-unit.js';
import type { Figures } from './measures.js';

const UNITS = 60;
/** The engine starts threads and fills caches with the first ones. */
const WARM_UP = 10;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Milliseconds, and milliseconds of all threads, to store a unit of the mix in an embedded store, units before it there. */
export const storeUnits = async (): Promise<Figures> => {
  const { statistics, checkpoint } = analysedUnit('mix', 2);
  const guestId = guestIdOf(runIdOf('bench'), 0, 'bench');
  const chunk = { instructions: 1_000_000, rawBytes: 700_000, bytes: 40_000, digest: digestOf('chunk') };
  const unitNumber = (unit: number): Unit => ({
    guestId,
    unit,
    chunks: Array.from({ length: 16 }, (_, index) => ({ ...chunk, sequence: unit * 16 + index })),
    statistics,
    checkpoint,
    last: false,
  });
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-bench-'));
  const store = await openColumnStore({ path: folder });
  const times: number[] = [];
  let cpu = 0;
  for (let unit = 0; unit < UNITS; unit++) {
    if (unit === WARM_UP) cpu = cpuMs();
    const begin = performance.now();
    await store.insertUnit(unitNumber(unit));
    times.push(performance.now() - begin);
  }
  cpu = (cpuMs() - cpu) / (UNITS - WARM_UP);
  await store.close();
  fs.rmSync(folder, { recursive: true });
  return { 'store.unitMs': median(times.slice(WARM_UP)), 'store.unitCpuMs': cpu };
};
