import { SeededRandom } from '@pvtrail/primitives';
import { afterAll, describe, expect, it } from 'vitest';
import { type Batch, makeBatch } from './batch.js';
import { NativeHost, type Outcome, whyNoNativeHost } from './native-host.js';
import { RegionGenerator } from './region-generator.js';
import { compareBatch, describeMismatch, minimise } from './report.js';

const missing = whyNoNativeHost();

const containsBswap = (batch: Batch, region: number): boolean =>
  batch.regions[region]?.region.some(
    (step) => step.kind === 'instruction' && step.cells.some((cell) => cell.startsWith('bswap')),
  ) ?? false;

const instructionsOf = (report: string): string[] =>
  report.split('\n').filter((line) => /^ {2}[0-9a-f]{8} /.test(line));

describe.skipIf(missing !== undefined && !process.env.CI)(
  `a mismatch${missing ? ` (skipped, because ${missing})` : ''}`,
  () => {
    const native = missing ? undefined : new NativeHost();
    afterAll(() => native?.close());
    const run = (batch: Batch): Outcome[] => native?.run(batch) ?? [];
    /** A translator that is wrong in r9 wherever a region has a bswap. */
    const wrong = (batch: Batch): Outcome[] =>
      run(batch).map((outcome, i) =>
        containsBswap(batch, batch.cases[i]?.region ?? 0)
          ? { ...outcome, gpr: outcome.gpr.with(9, (outcome.gpr[9] ?? 0n) ^ 1n) }
          : outcome,
      );
    const batch = makeBatch(new RegionGenerator(new SeededRandom(3), 64), {
      cpl: 3,
      cases: 400,
      statesPerRegion: 2,
      seed: 3,
    });

    it('does not exist between a CPU and itself', () => {
      expect(compareBatch(batch, run(batch), run(batch))).toEqual([]);
    });

    it('is found in exactly the cases that differ', () => {
      const found = compareBatch(batch, run(batch), wrong(batch)).map(({ caseNumber }) => caseNumber);
      expect(found.length).toBeGreaterThan(0);
      expect(found).toEqual(batch.cases.flatMap(({ region }, i) => (containsBswap(batch, region) ? [i] : [])));
    });

    it('is cut down to the instruction that causes it', () => {
      const [first] = compareBatch(batch, run(batch), wrong(batch));
      if (!first) throw new Error('no case differs');
      const whole = { seed: 3, mode: 0, batch, ...first };
      const text = describeMismatch(minimise(whole, run, wrong));
      const instructions = instructionsOf(text);
      expect(instructions.some((line) => line.includes('bswap'))).toBe(true);
      // what bounds the loops of the region stays
      expect(instructions.length).toBeLessThan(instructionsOf(describeMismatch(whole)).length / 2);
      expect(text).toMatch(/ {2}r9: native 0x[0-9a-f]+, translated 0x[0-9a-f]+$/);
    });
  },
);
