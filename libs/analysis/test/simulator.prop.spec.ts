import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockDescriptions } from '../src/block-descriptions.js';
import type { AnalysisConfiguration } from '../src/configuration.js';
import { DEFAULT_CONFIGURATION } from '../src/configuration.js';
import { NaiveSimulator } from '../src/naive-simulator.js';
import { Simulator } from '../src/simulator.js';
import { addUnits, emptyUnit, type UnitStatistics } from '../src/statistics.js';
import { dictionaryOf } from './dictionary-of.js';
import { kernelModule } from './kernel-module.js';
import { functionsOnly, type RandomTrace, RandomTraces } from './random-trace.js';

const cache = (sizeBytes: number, ways: number, lineBytes: number) => ({ sizeBytes, ways, lineBytes });
const tiny = { counters: 16, historyBits: 3, targetSets: 2, targetWays: 2, returnDepth: 2 };

/** So small that everything is evicted and every entry of the predictor is shared. */
const CONFIGURATIONS: readonly AnalysisConfiguration[] = [
  DEFAULT_CONFIGURATION,
  { caches: { l1i: cache(256, 2, 64), l1d: cache(256, 2, 64), l2: cache(1024, 4, 64) }, predictor: tiny },
  {
    caches: { l1i: cache(128, 1, 32), l1d: cache(64, 1, 32), l2: cache(256, 1, 32) },
    predictor: { ...tiny, targetWays: 1 },
  },
  {
    caches: { l1i: cache(512, 8, 16), l1d: cache(1024, 32, 16), l2: cache(512, 2, 16) },
    predictor: { ...tiny, returnDepth: 1 },
  },
];

const scenario = fc.record({
  seed: fc.integer(),
  configuration: fc.constantFrom(...CONFIGURATIONS),
  chunks: fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
  start: fc.integer({ min: 0, max: 100 }),
});

const tracesOf = (seed: number, lengths: readonly number[], start: number): RandomTrace[] => {
  const traces = new RandomTraces(seed);
  return lengths.map((length, i) =>
    traces.chunk(length, i === 0 ? new Map([[Math.min(start, length - 1), 2]]) : new Map()),
  );
};

/** Rows in the order of their keys. */
const ordered = (unit: UnitStatistics): UnitStatistics => addUnits(unit, emptyUnit());

describe('Simulator', () => {
  it('counts what the naive model counts, in every row', () => {
    fc.assert(
      fc.property(scenario, ({ seed, configuration, chunks, start }) => {
        const simulator = new Simulator({
          module: kernelModule,
          descriptions: new BlockDescriptions(functionsOnly()),
          configuration,
        });
        const naive = new NaiveSimulator(functionsOnly(), configuration);
        for (const { dictionary, columns } of tracesOf(seed, chunks, start)) {
          simulator.analyse(dictionaryOf(dictionary), columns);
          naive.analyse(dictionaryOf(dictionary), columns);
          expect(ordered(simulator.takeUnit())).toEqual(ordered(naive.takeUnit()));
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});
