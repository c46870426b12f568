import { METRICS, type Metric } from '@pvtrail/analysis';
import { FOOTPRINTS, STAGES, WORKLOADS } from '@pvtrail/contracts';
import type { ComparisonRow, FleetReport } from '@pvtrail/reporting';
import { describe, expect, it } from 'vitest';
import { comparisonTable } from './comparison.js';
import { reportText } from './fleet-report.js';
import { timeLeft } from './progress.js';

const row = (stage: string, workload: string, footprint: string, metric: Metric): ComparisonRow => ({
  guest: 'native',
  bits: 64,
  stage,
  workload,
  footprint,
  setting: '',
  metric,
  value: 123_456_789,
  overhead: stage === 'nopv' ? 0 : 98_765,
  overheadPercent: stage === 'nopv' ? 0 : 3530.4,
  shareRemoved: stage === 'nopv' ? null : -0.479,
});

const rows = STAGES.flatMap((stage) =>
  WORKLOADS.flatMap((workload) =>
    FOOTPRINTS.flatMap((footprint) => METRICS.map((metric) => row(stage, workload, footprint, metric))),
  ),
);
const range = { half: 1, stated: 2, double: 4 };

/** A report with the widest figures that come to mind. */
const report: FleetReport = {
  guest: 'native',
  bits: 64,
  rows,
  cycles: STAGES.map((stage) => ({
    stage,
    cycles: range,
    removed: { half: 0.27, stated: 0.266, double: 0.261 },
    flips: stage === 'v2.6.30',
  })),
  outcomes: STAGES.map((stage) => ({ stage, outcome: 'direct-call', sites: 1234 })),
  contributions: [
    {
      by: 'site',
      metric: 'instructions',
      from: 'v2.6.29',
      to: 'callee-save-pte',
      name: 'ptep_modify_prot_commit mmu.ptep_modify_prot_commit #12',
      before: 123_456_789,
      after: 1,
      difference: -123_456_788,
    },
  ],
  claim: {
    share: 0.75,
    measured: { instructions: 0.291, savesAndRestores: 0.349, l2References: null, guestCycles: 0.266 },
  },
  worsened: [],
  spinlocks: { before: 0.415, after: 0.497, removedOutside: 0.39 },
  notes: [`Compiled by a modern gcc, ${'and what else there is to be said, '.repeat(5)}not 2009’s.`],
};

const widest = (text: string): number => Math.max(...text.split('\n').map((line) => [...line].length));

describe('the report', () => {
  const text = reportText(report);

  it('begins with the answer, beside the posting’s claim', () => {
    const [first = '', second = ''] = text.split('\n');
    expect(first).toMatch(/^The series removed 29\.1 % .* in instructions, and 26\.6 % in cycles\.$/);
    expect(second).toBe('Its posting of January 2009 says: about 75 %, most visibly in L2 references.');
  });

  it('fits 100 columns, with no blanks at the ends of lines', () => {
    expect(widest(text)).toBeLessThanOrEqual(100);
    expect(text).not.toMatch(/ $/m);
  });

  it('breaks no line between a number and its percent sign', () => {
    expect(text).not.toMatch(/^%/m);
  });

  it('has every metric, causes below their sum, and each workload', () => {
    for (const name of ['instructions', 'savesAndRestores', '  .callee-frame', 'l2Misses', 'guestCycles']) {
      expect(text).toMatch(new RegExp(`^${name.replace('.', '\\.')} +123456789 +3530\\.4`, 'm'));
    }
    for (const workload of WORKLOADS) expect(text).toMatch(new RegExp(`^${workload} mixed `, 'm'));
  });

  it('says where a conclusion depends on the costs', () => {
    expect(text.replaceAll('\n', ' ')).toMatch(
      /Whether v2\.6\.30 is cheaper than v2\.6\.29 at all depends on these costs/,
    );
  });
});

describe('the report about guests under a hypervisor', () => {
  const xen = rows.map((of) => ({ ...of, guest: of.stage === 'nopv' ? 'native' : 'xen' }));
  const site = (outcome: string, reason: string | null, bytesAfter: string) => ({
    address: '0xffffffff81000000',
    outcome,
    reason,
    bytesBefore: 'ff1500000000',
    bytesAfter,
  });
  const worse = {
    by: 'site' as const,
    metric: 'instructionsWithThunk',
    from: 'callee-save-irq' as const,
    to: 'callee-save-pte' as const,
    name: 'do_wp_page mmu.pte_val #1',
    before: 1,
    after: 19,
    difference: 18,
    evidence: {
      kind: 'site' as const,
      before: site('direct-call', null, 'e80000000090'),
      after: site('unchanged', 'clobber-test', 'ff1500000000'),
    },
  };
  const claim = { share: 0.75, measured: { instructions: -0.486, guestCycles: -0.329 } };
  const text = reportText({ ...report, guest: 'xen', rows: xen, claim, worsened: [worse] });

  it('says that the series added to the overhead, and which stages did', () => {
    const flowing = text.replaceAll('\n', ' ');
    expect(flowing).toMatch(
      /^The series added 48\.6 % to what paravirt costs this kernel in instructions, and 32\.9 % in cycles\. Its posting/,
    );
    expect(flowing).toContain('Why: callee-save-pte made call sites of the xen guest dearer');
    expect(text).toMatch(/^cycles with the hypervisor's +3530\.4/m);
  });

  it('shows a site that became dearer with its bytes in both stages and the reason', () => {
    expect(text).toContain(
      '  do_wp_page mmu.pte_val #1\n    was direct-call: ff1500000000 -> e80000000090\n' +
        '    is  unchanged (clobber-test): ff1500000000 -> ff1500000000\n',
    );
  });

  it('fits 100 columns', () => {
    expect(widest(text)).toBeLessThanOrEqual(100);
  });
});

describe('the comparison of one guest', () => {
  it('has columns for what is stored only', () => {
    const stored = rows.filter(
      ({ stage, workload, footprint }) =>
        ['nopv', 'v2.6.29'].includes(stage) && workload === 'mix' && footprint === 'hot',
    );
    const [, head = ''] = comparisonTable(stored).split('\n');
    expect(head.trim().split(/ +/)).toEqual(['metric', 'nopv', 'v2.6.29']);
  });
});

describe('the time left', () => {
  it.each([
    [3, 3, 125, ''],
    [10, 10, 0, ''],
    [6, 4, 124, 'about 3 min left'],
    [30, 64, 64, 'about 30 s left'],
    [30, 118, 10, 'nearly done'],
  ])('after %i s with %i guests ended and %i open is "%s"', (seconds, ended, open, text) => {
    expect(timeLeft(seconds, ended, open)).toBe(text);
  });
});
