import { defineConfig } from 'vitest/config';

// Tests run from src of every workspace (condition `pvtrail-src`), so that a failing line is the line in the editor.
export default defineConfig({
  resolve: { conditions: ['pvtrail-src'] },
  ssr: { resolve: { conditions: ['pvtrail-src'] } },
  test: {
    include: [
      '{apps,libs}/*/{src,test}/**/*.spec.ts',
      'e2e/**/*.e2e.spec.ts',
      'guest-kernel/test/**/*.spec.ts',
      'scripts/**/*.spec.ts',
    ],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
  },
});
