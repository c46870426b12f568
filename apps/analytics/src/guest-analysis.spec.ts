import { emptyUnit } from '@pvtrail/analysis';
import type { ColumnStore, Unit } from '@pvtrail/column-store';
import { type ChunkProduced, guestIdOf, runIdOf } from '@pvtrail/contracts';
import { AppError, digestOf } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import type { AnalysisWorker } from './analysis-worker.js';
import { GuestAnalysis } from './guest-analysis.js';

const runId = runIdOf('run');
const guestId = guestIdOf(runId, 0, 'guest');
const CHUNKS = 35;

const chunk = (sequence: number): ChunkProduced => ({
  runId,
  guestId,
  sequence,
  instructions: 1000,
  rawBytes: 100,
  bytes: 10,
  digest: digestOf(String(sequence)),
  last: sequence === CHUNKS - 1,
  time: '2026-01-01T00:00:00Z',
});

/** A simulator that only remembers which chunks it saw, and a store that keeps units, or refuses the inserts named. */
const analysisFrom = (nextChunk: number, refused: readonly number[] = []) => {
  const analysed: number[] = [];
  const units: Unit[] = [];
  let inserts = 0;
  const worker: Pick<AnalysisWorker, 'analyse'> = {
    analyse: async (_guest, value, endsUnit) => {
      analysed.push(value[0] ?? -1);
      return endsUnit ? { statistics: emptyUnit(), checkpoint: Uint8Array.from(analysed) } : undefined;
    },
  };
  const store: Pick<ColumnStore, 'insertUnit'> = {
    insertUnit: async (unit) => {
      if (refused.includes(inserts++)) throw new AppError('store/unavailable', 'away');
      units.push(unit);
      return 'inserted';
    },
  };
  const analysis = new GuestAnalysis(guestId, worker as AnalysisWorker, store as ColumnStore, nextChunk);
  const add = (sequence: number, offset = 100 + sequence): Promise<boolean> =>
    analysis.add(chunk(sequence), Uint8Array.of(sequence), { partition: 3, offset });
  return { analysis, analysed, units, add };
};

const sequencesOf = ({ chunks }: Unit): number[] => chunks.map(({ sequence }) => sequence);
const from = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

describe('the chunks of a guest', () => {
  it('are stored in units of sixteen by sequence number, the last one shorter', async () => {
    const { units, add } = analysisFrom(0);
    const complete: boolean[] = [];
    for (const sequence of from(0, CHUNKS)) complete.push(await add(sequence));
    expect(units.map(({ unit, last }) => [unit, last])).toEqual([
      [0, false],
      [1, false],
      [2, true],
    ]);
    expect(units.map(sequencesOf)).toEqual([from(0, 16), from(16, 32), from(32, 35)]);
    expect(complete.lastIndexOf(false)).toBe(CHUNKS - 2);
  });

  it('are in the same units when another process goes on behind a stored one', async () => {
    const { units, add, analysed } = analysisFrom(16);
    for (const sequence of from(14, CHUNKS)) await add(sequence);
    expect(units.map(sequencesOf)).toEqual([from(16, 32), from(32, 35)]);
    expect(analysed).toEqual(from(16, 35));
  });

  it('are analysed once, however often they are delivered', async () => {
    const { units, add, analysed } = analysisFrom(0);
    for (const sequence of from(0, CHUNKS)) {
      await add(sequence);
      await add(sequence);
    }
    expect(analysed).toEqual(from(0, CHUNKS));
    expect(units).toHaveLength(3);
  });

  it('are refused when one is missing before them', async () => {
    const { add } = analysisFrom(0);
    await add(0);
    await expect(add(2)).rejects.toMatchObject({ code: 'trace/discontinuous' });
  });

  it('hold the log back at the first one that is not stored', async () => {
    const { analysis, add } = analysisFrom(0);
    expect(analysis.heldSince(3)).toBeUndefined();
    for (const sequence of from(0, 5)) await add(sequence);
    expect([analysis.heldSince(3), analysis.heldSince(4)]).toEqual([100, undefined]);
    for (const sequence of from(5, 18)) await add(sequence);
    expect(analysis.heldSince(3)).toBe(116);
  });

  it('are stored with the state behind the unit, when the store takes it at the next delivery', async () => {
    const { analysis, units, add, analysed } = analysisFrom(0, [0]);
    for (const sequence of from(0, 15)) await add(sequence);
    await expect(add(15)).rejects.toMatchObject({ code: 'store/unavailable' });
    expect(analysis.heldSince(3)).toBe(100);
    await add(15);
    expect(units.map(sequencesOf)).toEqual([from(0, 16)]);
    expect([...(units[0]?.checkpoint ?? [])]).toEqual(from(0, 16));
    expect(analysed).toEqual(from(0, 16));
  });
});
