import type { ContributionRow, Split } from './contribution-row.js';

/** What each name adds up to in either of two stages. */
export class Sums {
  readonly #sums = new Map<string, { before: number; after: number }>();

  add(name: string, side: 'before' | 'after', value: number): void {
    const sum = this.#sums.get(name) ?? { before: 0, after: 0 };
    sum[side] += value;
    this.#sums.set(name, sum);
  }

  /** Those that changed, most first. */
  rows(by: Split, metric: string): ContributionRow[] {
    return [...this.#sums]
      .map(([name, sum]): ContributionRow => ({ by, metric, name, ...sum, difference: sum.after - sum.before }))
      .filter(({ difference }) => difference !== 0)
      .sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || a.name.localeCompare(b.name));
  }
}
