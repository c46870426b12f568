import fs from 'node:fs';
import { guestIdOf, runIdOf } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import {
  committedSql,
  comparisonSql,
  contributionsSql,
  eventsSql,
  footprintsSql,
  generationsSql,
  statisticsSql,
} from './queries.js';
import { text } from './sql-text.js';

const run = runIdOf('golden');
const guest = guestIdOf(run, 0, 'golden');
const by = ['type', 'bits', 'stage', 'workload'] as const;

/** Name of the golden file → the statement that must equal it. */
const STATEMENTS: Record<string, string> = {
  comparison: comparisonSql({ runs: [run], by }),
  'comparison-filtered': comparisonSql({
    runs: [run],
    by: ['guest'],
    types: ['native'],
    bits: 64,
    stages: ['nopv', 'v2.6.30'],
    workloads: ['fork'],
    footprints: ['mixed'],
  }),
  'statistics-op': statisticsSql({ runs: [run], by, of: 'op' }),
  'statistics-site': statisticsSql({ runs: [run], by, of: 'site' }),
  'statistics-function': statisticsSql({ runs: [run], by, of: 'function' }),
  'statistics-cause': statisticsSql({ runs: [run], by, of: 'cause' }),
  'contributions-site': contributionsSql({
    runs: [run],
    of: 'site',
    metric: 'saves',
    before: 'v2.6.29',
    after: 'callee-save-pte',
    limit: 10,
  }),
  'contributions-function': contributionsSql({
    runs: [run],
    of: 'function',
    metric: 'l1iMisses',
    before: 'v2.6.29',
    after: 'v2.6.30',
    limit: 5,
  }),
  footprints: footprintsSql(run),
  events: eventsSql(run),
  committed: committedSql(guest),
  generations: generationsSql([guest]),
};

const golden = (name: string): URL => new URL(`../test/golden/${name}.sql`, import.meta.url);

describe('SQL', () => {
  it.each(Object.entries(STATEMENTS))('%s is the reviewed statement', (name, sql) => {
    expect(`${sql}\n`).toBe(fs.readFileSync(golden(name), 'utf8'));
  });

  it('no golden statement is left over', () => {
    const files = fs.readdirSync(new URL('../test/golden/', import.meta.url));
    expect(files.toSorted()).toEqual(
      Object.keys(STATEMENTS)
        .map((name) => `${name}.sql`)
        .toSorted(),
    );
  });

  it('quotes and backslashes cannot leave a literal', () => {
    expect(text("a'b\\")).toBe("'a\\'b\\\\'");
  });
});
