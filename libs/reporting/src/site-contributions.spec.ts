import type { ColumnStore, StatisticsQuery, StatisticsRow } from '@pvtrail/column-store';
import { describe, expect, it } from 'vitest';
import { dearerSites, namedSites, siteContributions } from './site-contributions.js';

const SITE = { executions: 1, nops: 0, saves: 0, restores: 0 };
const KERNEL = { type: 'xen', bits: 64, paging: '4level' };
const [BEFORE, AFTER] = ['callee-save-irq', 'callee-save-pte'] as const;

const site = (stage: string, address: string, instructions: number, thunkEntries: number, kernel: object = KERNEL) =>
  ({ ...SITE, ...kernel, stage, address, function: 'f', op: 'mmu.pte_val', instructions, thunkEntries }) as never;

/** A store that knows these statistics. */
const storeOf = (sites: readonly StatisticsRow<'site'>[], ops: readonly object[]): ColumnStore =>
  ({ statistics: async ({ of }: StatisticsQuery) => (of === 'site' ? sites : ops) }) as unknown as ColumnStore;

describe('namedSites', () => {
  it('counts the sites of an op in a function by address', () => {
    const at = (address: string, op: string) => ({ address, function: 'f', op });
    const names = namedSites([at('0x30', 'a'), at('0x10', 'a'), at('0x20', 'b')]);
    expect([...names].map(([name, { address }]) => [name, address])).toEqual([
      ['f a #1', '0x10'],
      ['f a #2', '0x30'],
      ['f b #1', '0x20'],
    ]);
  });
});

describe('siteContributions', () => {
  const ask = { before: BEFORE, after: AFTER, limit: 10 };
  const op = (stage: string, thunkInstructions: number, thunkEntries: number) => ({
    ...KERNEL,
    stage,
    op: 'mmu.pte_val',
    thunkInstructions,
    thunkEntries,
  });

  it('follows a site that has moved, and counts the thunks that it entered apart', async () => {
    const sites = [
      site(BEFORE, '0x10', 6, 0),
      site(BEFORE, '0x20', 2, 0),
      site(AFTER, '0x14', 3, 3),
      site(AFTER, '0x24', 2, 1),
    ];
    const rows = await siteContributions(storeOf(sites, [op(BEFORE, 0, 0), op(AFTER, 72, 4)]), { runs: [] }, ask);
    expect(rows.map(({ metric, name, before, after }) => [metric, name, before, after])).toEqual([
      ['instructions', 'f mmu.pte_val #1', 6, 3],
      ['thunkInstructions', 'f mmu.pte_val #1', 0, 54],
      ['thunkInstructions', 'f mmu.pte_val #2', 0, 18],
    ]);
  });

  it('does not take the sites of another kernel for further sites of this one', async () => {
    const native = { type: 'native', bits: 64, paging: '4level' };
    const sites = [
      site(BEFORE, '0x10', 6, 0),
      site(BEFORE, '0x08', 2, 0, native),
      site(AFTER, '0x10', 3, 0),
      site(AFTER, '0x08', 1, 0, native),
    ];
    const rows = await siteContributions(storeOf(sites, []), { runs: [] }, ask);
    expect(rows).toMatchObject([{ name: 'f mmu.pte_val #1', before: 8, after: 4 }]);
  });
});

describe('dearerSites', () => {
  it('are those that take more with their thunks, nops not counted', async () => {
    const padded = { ...(site(AFTER, '0x20', 3, 0) as object), nops: 2 } as never;
    const sites = [site(BEFORE, '0x10', 6, 0), site(BEFORE, '0x20', 1, 0), site(AFTER, '0x10', 3, 3), padded];
    const ops = [{ ...KERNEL, stage: AFTER, op: 'mmu.pte_val', thunkInstructions: 54, thunkEntries: 3 }];
    const rows = await dearerSites(storeOf(sites, ops), { runs: [] }, { before: BEFORE, after: AFTER, limit: 10 });
    expect(rows).toEqual([
      { by: 'site', metric: 'instructionsWithThunk', name: 'f mmu.pte_val #1', before: 6, after: 57, difference: 51 },
    ]);
  });
});
