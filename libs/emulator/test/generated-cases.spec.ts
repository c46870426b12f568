import { SeededRandom } from '@pvtrail/primitives';
import { afterAll, describe, expect, it } from 'vitest';
import { makeBatch } from './batch.js';
import { CARDS } from './instruction-cards.js';
import { NativeHost, whyNoNativeHost } from './native-host.js';
import { readsDefinedFlagsOnly } from './region.js';
import { RegionGenerator } from './region-generator.js';

const missing = whyNoNativeHost();
const BREAKPOINT = 3;
const TIMED_OUT = 255;

const sample = (seed: number) => {
  const generator = new RegionGenerator(new SeededRandom(seed));
  return makeBatch(generator, { bits: 64, cpl: 3, cases: 1000, statesPerRegion: 2, seed });
};

describe('generated cases', () => {
  it('are the same for the same seed', () => {
    expect(sample(7)).toEqual(sample(7));
    expect(sample(7).code).not.toEqual(sample(8).code);
  });

  it('never look at a flag that the architecture leaves undefined', () => {
    expect(sample(9).regions.every(({ region }) => readsDefinedFlagsOnly(region))).toBe(true);
  });

  it('deal every instruction form in turn', () => {
    const dealt = new Set(
      sample(10).regions.flatMap(({ region }) =>
        region.flatMap((step) => (step.kind === 'label' ? [] : step.cells.map((cell) => cell.split(' ')[0]))),
      ),
    );
    const missingForms = CARDS.map((card) => card.form.mnemonic).filter(
      (mnemonic) => ![...dealt].some((name) => name === mnemonic),
    );
    expect(missingForms.filter((mnemonic) => !['movs', 'stos', 'lods', 'cmps', 'scas'].includes(mnemonic))).toEqual([]);
  });
});

describe.skipIf(missing !== undefined && !process.env.CI)(
  `the native host${missing ? ` (skipped, because ${missing})` : ''}`,
  () => {
    const host = missing ? undefined : new NativeHost();
    afterAll(() => host?.close());

    it('is there in CI', () => {
      expect(missing).toBeUndefined();
    });

    it('gives the same outcome each time, and most cases reach their end', () => {
      const batch = sample(11);
      const first = host?.run(batch) ?? [];
      expect(host?.run(batch)).toEqual(first);
      expect(first.filter(({ vector }) => vector === BREAKPOINT).length).toBeGreaterThan(first.length * 0.6);
      expect(first.filter(({ vector }) => vector === TIMED_OUT)).toEqual([]);
    });
  },
);
