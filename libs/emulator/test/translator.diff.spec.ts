import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Coverage } from './coverage.js';
import { GuestHosts, runDifferential } from './differential.js';
import { NativeHost, whyNoNativeHost } from './native-host.js';
import { describeMismatch, minimise } from './report.js';

const DEFAULT_CASES = 100_000;
const DEFAULT_SEED = 1;
const TIME_LIMIT_MS = 3_600_000;
const REPORTED_MISMATCHES = 3;

const cases = Number(process.env.PVTRAIL_DIFF_CASES ?? DEFAULT_CASES);
const seed = Number(process.env.PVTRAIL_DIFF_SEED ?? DEFAULT_SEED);
const missing = whyNoNativeHost();

describe.skipIf(missing !== undefined && !process.env.CI).each([64, 32] as const)(
  `translator and host CPU in %i-bit code${missing ? ` (skipped, because ${missing})` : ''}`,
  (bits) => {
    const native = missing ? undefined : new NativeHost();
    const coverage = new Coverage();
    afterAll(() => native?.close());

    it(
      `agree on registers, defined flags, memory and faults in ${cases} generated cases of seed ${seed}`,
      () => {
        if (!native) throw new Error(`cases cannot run natively: ${missing}`);
        const { done, mismatches } = runDifferential(
          native,
          { bits, cases, seed, maxMismatches: REPORTED_MISMATCHES },
          coverage,
        );
        const reports = mismatches.map((mismatch) => {
          const small = minimise(
            mismatch,
            (batch) => native.run(batch),
            (batch) => new GuestHosts().run(batch, mismatch.mode),
          );
          return describeMismatch(small);
        });
        expect(reports.join('\n\n')).toBe('');
        expect(done).toBe(cases);
      },
      TIME_LIMIT_MS,
    );

    it.runIf(cases === DEFAULT_CASES && seed === DEFAULT_SEED)(
      'cover every instruction, operand kind and width of the committed table',
      async () => {
        await expect(coverage.text()).toMatchFileSnapshot(join(import.meta.dirname, `golden/coverage-${bits}.txt`));
      },
    );
  },
);
