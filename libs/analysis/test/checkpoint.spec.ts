import { describe, expect, it } from 'vitest';
import { BlockDescriptions } from '../src/block-descriptions.js';
import { DEFAULT_CONFIGURATION } from '../src/configuration.js';
import { Simulator } from '../src/simulator.js';
import { addUnits, emptyUnit, type UnitStatistics } from '../src/statistics.js';
import { dictionaryOf } from './dictionary-of.js';
import { kernelModule } from './kernel-module.js';
import { functionsOnly, type RandomTrace, RandomTraces } from './random-trace.js';

const CHUNKS = 6;
const cache = (sizeBytes: number) => ({ sizeBytes, ways: 2, lineBytes: 64 });
const configuration = { ...DEFAULT_CONFIGURATION, caches: { l1i: cache(512), l1d: cache(512), l2: cache(4096) } };

const simulatorFrom = (checkpoint?: Uint8Array): Simulator =>
  new Simulator({
    module: kernelModule,
    descriptions: new BlockDescriptions(functionsOnly()),
    configuration,
    ...(checkpoint && { checkpoint }),
  });

/** The measured region begins in the first and ends in the last chunk. */
const tracesOf = (seed: number): RandomTrace[] => {
  const traces = new RandomTraces(seed);
  return Array.from({ length: CHUNKS }, (_, i) =>
    traces.chunk(300, new Map(i === 0 ? [[100, 2]] : i === CHUNKS - 1 ? [[200, 3]] : [])),
  );
};

const analyseAll = (simulator: Simulator, traces: readonly RandomTrace[]): UnitStatistics => {
  for (const { dictionary, columns } of traces) simulator.analyse(dictionaryOf(dictionary), columns);
  return simulator.takeUnit();
};

/** Rows of functions in which nothing was counted may differ. */
const comparable = (unit: UnitStatistics): UnitStatistics => addUnits(unit, emptyUnit());

describe('a checkpoint', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'lets another simulator go on after any chunk with the same result (seed %i)',
    (seed) => {
      const traces = tracesOf(seed);
      const whole = analyseAll(simulatorFrom(), traces);
      for (let split = 0; split <= CHUNKS; split++) {
        const first = simulatorFrom();
        const before = analyseAll(first, traces.slice(0, split));
        const second = simulatorFrom(first.checkpoint());
        const after = analyseAll(second, traces.slice(split));
        expect(addUnits(before, after)).toEqual(comparable(whole));
      }
    },
  );

  it('is the same bytes when taken again after a restore', () => {
    const simulator = simulatorFrom();
    analyseAll(simulator, tracesOf(9).slice(0, 3));
    const checkpoint = simulator.checkpoint();
    expect(simulatorFrom(checkpoint).checkpoint()).toEqual(checkpoint);
  });

  it('is refused by a simulator of another configuration', () => {
    const checkpoint = simulatorFrom().checkpoint();
    const options = { module: kernelModule, descriptions: new BlockDescriptions(functionsOnly()), checkpoint };
    expect(() => new Simulator(options)).toThrow(expect.objectContaining({ code: 'input/invalid' }));
  });

  it.each([0, 10, 43, 60, 5000])('is refused when only its first %i bytes are there', (length) => {
    const checkpoint = simulatorFrom().checkpoint();
    expect(() => simulatorFrom(checkpoint.slice(0, length))).toThrow(
      expect.objectContaining({ code: 'input/invalid' }),
    );
  });

  it('is refused when it has another version', () => {
    const checkpoint = simulatorFrom().checkpoint();
    checkpoint[4] = 99;
    expect(() => simulatorFrom(checkpoint)).toThrow(/version is 99/);
  });
});
