import { defineConfig } from 'vitest/config';

// The translator against the host CPU, kept apart until it passes.
export default defineConfig({
  resolve: { conditions: ['pvtrail-src'] },
  ssr: { resolve: { conditions: ['pvtrail-src'] } },
  test: { include: ['libs/emulator/test/{translator.diff,report}.spec.ts'], testTimeout: 600_000, pool: 'forks' },
});
