import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentIn, pvtrailIn } from './command-line.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-native-32-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const pvtrail = (...args: string[]) => pvtrailIn(folder, ...args);
const documentOf = (...args: string[]) => documentIn(folder, ...args);

const GUEST = ['--bits', '32', '--workload', 'mmap'];
const TWO_LEVELS = [...GUEST, '--paging', '2level'];

interface Site {
  readonly op: string;
  readonly recordType: string;
  readonly bytesBefore: string;
  readonly bytesAfter: string;
  readonly outcome: string;
}

describe('a 32-bit native guest through the command line', () => {
  let sites: Readonly<Record<'base' | 'series' | 'twoLevels', Site[]>>;

  beforeAll(() => {
    for (const guest of [GUEST, TWO_LEVELS]) documentOf('run', ...guest, '--stage', 'nopv');
    // The guest is computed first, which the command says on stderr.
    const sitesOf = (stage: string, guest: string[]): Site[] =>
      JSON.parse(pvtrail('sites', ...guest, '--stage', stage, '--json').stdout).sites;
    sites = {
      base: sitesOf('v2.6.29', GUEST),
      series: sitesOf('v2.6.30', GUEST),
      twoLevels: sitesOf('v2.6.30', TWO_LEVELS),
    };
  }, 300_000);

  const bytesOf = (all: Site[], wanted: string, record: string) => {
    const own = all.filter(({ op, recordType }) => op === wanted && recordType === record);
    expect(own.length).toBeGreaterThan(0);
    return [
      ...new Set(own.map(({ bytesBefore, bytesAfter }) => `${bytesBefore.replace(/ff15.{8}/, 'ff15*')} ${bytesAfter}`)),
    ];
  };

  // Encodings: domain.md §2.1, §1.3; nops of the P6 table, §3.5; what stands in the site for native: §3.6.
  it('has its irq sites patched to the instruction and a nop as long as the rest', () => {
    expect(bytesOf(sites.base, 'irq.save_fl', 'c-irq')).toEqual(['5152ff15*5a59 9c580f1f840000000000']);
    expect(bytesOf(sites.series, 'irq.save_fl', 'c-irq')).toEqual(['ff15* 9c580f1f4000']);
    expect(bytesOf(sites.series, 'cpu.irq_enable_sysexit', 'asm-jump')).toEqual([
      expect.stringMatching(/^2eff25.{8} fb0f350f1f4000$/),
    ]);
  });

  it('has conversions of page-table values patched to nothing: argument and result share their registers', () => {
    for (const all of [sites.series, sites.twoLevels])
      expect(bytesOf(all, 'mmu.pte_val', 'c-callee-save')).toEqual(['ff15* 660f1f440000']);
  });

  it('is compared with the nopv of its own paging', () => {
    const { rows } = documentOf('compare', '--bits', '32', '--metric', 'instructions');
    expect(rows).toHaveLength(5);
    const zeros = rows.filter((row: { stage: string }) => row.stage === 'nopv');
    expect(zeros.map(({ overhead }: { overhead: number }) => overhead)).toEqual([0, 0]);
    const others = rows.filter((row: { stage: string }) => row.stage !== 'nopv');
    for (const { overheadPercent } of others) {
      expect(overheadPercent).toBeGreaterThan(1);
      expect(overheadPercent).toBeLessThan(25);
    }
    // Only the PAE guest of v2.6.30 has one of v2.6.29 beside it.
    const removed: (number | null)[] = others.map(({ shareRemoved }: { shareRemoved: number | null }) => shareRemoved);
    expect(removed.filter((share) => share !== null && share > 0)).toHaveLength(1);
  });

  it('has no paging that its bitness does not have', () => {
    const { status, stderr } = pvtrail('run', '--paging', '2level');
    expect(status).toBe(1);
    expect(stderr).toContain('input/unsupported-combination');
  });
});
