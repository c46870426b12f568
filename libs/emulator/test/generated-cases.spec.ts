import { SeededRandom } from '@pvtrail/primitives';
import { afterAll, describe, expect, it } from 'vitest';
import type { Bits } from './assembler.js';
import { makeBatch } from './batch.js';
import { cardsOf } from './instruction-cards.js';
import { NativeHost, whyNoNativeHost } from './native-host.js';
import { readsDefinedFlagsOnly } from './region.js';
import { RegionGenerator } from './region-generator.js';

const missing = whyNoNativeHost();
const BREAKPOINT = 3;
const TIMED_OUT = 255;

const sample = (seed: number, bits: Bits) => {
  const generator = new RegionGenerator(new SeededRandom(seed), bits);
  return makeBatch(generator, { cpl: 3, cases: 1000, statesPerRegion: 2, seed });
};

describe.each([64, 32] as const)('generated cases of %i-bit code', (bits) => {
  it('are the same for the same seed', () => {
    expect(sample(7, bits)).toEqual(sample(7, bits));
    expect(sample(7, bits).code).not.toEqual(sample(8, bits).code);
  });

  it('never look at a flag that the architecture leaves undefined', () => {
    expect(sample(9, bits).regions.every(({ region }) => readsDefinedFlagsOnly(region))).toBe(true);
  });

  it('deal every instruction form in turn', () => {
    const dealt = new Set(
      sample(10, bits).regions.flatMap(({ region }) =>
        region.flatMap((step) => (step.kind === 'label' ? [] : step.cells.map((cell) => cell.split(' ')[0]))),
      ),
    );
    const missingForms = cardsOf(bits)
      .map((card) => card.form.mnemonic)
      .filter((mnemonic) => ![...dealt].some((name) => name === mnemonic));
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

    it.each([64, 32] as const)(
      'gives the same outcome of %i-bit code each time, and most cases reach their end',
      (bits) => {
        const batch = sample(11, bits);
        const first = host?.run(batch) ?? [];
        expect(host?.run(batch)).toEqual(first);
        expect(first.filter(({ vector }) => vector === BREAKPOINT).length).toBeGreaterThan(first.length * 0.6);
        expect(first.filter(({ vector }) => vector === TIMED_OUT)).toEqual([]);
      },
    );
  },
);
