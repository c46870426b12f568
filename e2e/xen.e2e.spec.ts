import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentIn, pvtrailIn } from './command-line.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-xen-'));
const other = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-xen-'));

afterAll(() => {
  for (const made of [folder, other]) fs.rmSync(made, { recursive: true });
});

const XEN = ['--guest', 'xen', '--bits', '64', '--workload', 'fork', '--seed', '1'];

interface Site {
  readonly op: string;
  readonly outcome: string;
  readonly reason: string | null;
  readonly executions: number;
}

describe('a 64-bit Xen guest through the command line', () => {
  it('repeats to the byte in another process and data folder, with a trace that verifies', () => {
    const [guest] = documentIn(folder, 'run', ...XEN, '--stage', 'v2.6.30').guests;
    expect(guest).toMatchObject({ guest: 'xen', bits: 64, stage: 'v2.6.30', workload: 'fork' });
    expect(guest.instructions).toBeGreaterThan(100_000);
    expect(documentIn(other, 'run', ...XEN, '--stage', 'v2.6.30', '--keep-trace').guests).toEqual([guest]);
    const traces = path.join(other, 'traces', guest.guestId);
    const files = fs.readdirSync(traces).map((name) => path.join(traces, name));
    expect(documentIn(other, 'verify', ...files).traces).toMatchObject([
      { complete: true, instructions: guest.instructions },
    ]);
  }, 200_000);

  it('has its call sites patched by what it told of itself, as its events say', () => {
    const { guestId, sites }: { guestId: string; sites: Site[] } = documentIn(
      folder,
      'sites',
      ...XEN,
      '--stage',
      'v2.6.30',
    );
    const kept = sites.filter(({ outcome }) => outcome === 'unchanged');
    expect([...new Set(kept.map(({ reason }) => reason))]).toEqual(['clobber-test']);
    expect(kept.map(({ op }) => op)).toEqual(expect.arrayContaining(['irq.save_fl', 'mmu.pte_val', 'mmu.make_pte']));
    expect(kept.some(({ op, executions }) => op === 'mmu.pte_val' && executions > 0)).toBe(true);
    const { events } = documentIn(folder, 'events', guestId);
    const discovered = events.find(({ type }: { type: string }) => type === 'CallSitesDiscovered');
    expect(discovered.payload.xen).toEqual({
      vcpuPlacement: true,
      vcpuInfo: '0x0000000000000080',
      checkEvents: expect.stringMatching(/^0xffffffff81/),
    });
  }, 100_000);

  it('has its traps counted and costed by kind, beside its own cycles', () => {
    const [cycles] = documentIn(folder, 'run', ...XEN, '--stage', 'v2.6.30').cycles;
    const costs: Record<string, number> = {
      hypercall: 500,
      'multicall-entry': 100,
      'emulated-write': 3000,
      exception: 1000,
      'system-call': 500,
    };
    expect(cycles.traps.map(({ kind }: { kind: string }) => kind)).toEqual(Object.keys(costs));
    for (const trap of cycles.traps) {
      expect(trap.count).toBeGreaterThan(5);
      expect(trap.cycles).toBe(trap.count * (costs[trap.kind] ?? 0));
    }
    const sum = cycles.traps.reduce((all: number, trap: { cycles: number }) => all + trap.cycles, 0);
    expect(cycles.hypervisorCycles).toBe(sum);
    expect(cycles.totalCycles).toBe(cycles.guestCycles + sum);
  }, 100_000);

  it('is compared with native nopv', () => {
    documentIn(folder, 'run', '--stage', 'nopv', '--workload', 'fork', '--seed', '1');
    const { rows } = documentIn(folder, 'compare', '--guest', 'xen', '--metric', 'instructions');
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ guest: 'xen', stage: 'v2.6.30', metric: 'instructions' });
    expect(rows[0].overheadPercent).toBeGreaterThan(50);
    const at = (metric: string): number =>
      documentIn(folder, 'compare', '--guest', 'xen', '--metric', metric).rows[0].value;
    expect(at('totalCycles')).toBe(at('guestCycles') + at('hypervisorCycles'));
  }, 100_000);

  describe('from callee-save-irq to callee-save-pte', () => {
    const changes = (by: string) =>
      documentIn(folder, 'compare', ...XEN.slice(0, 4), '--between', 'callee-save-irq', 'callee-save-pte', '--by', by)
        .rows;

    beforeAll(() => {
      for (const stage of ['callee-save-irq', 'callee-save-pte']) documentIn(folder, 'run', ...XEN, '--stage', stage);
    }, 200_000);

    it('page-table ops lost their direct calls to the clobber test and got thunks', () => {
      const rows = changes('op').filter(({ name }: { name: string }) => name === 'mmu.pte_val');
      const at = (metric: string) => rows.find((row: { metric: string }) => row.metric === metric);
      expect(at('siteInstructions').difference).toBeLessThan(0);
      expect(at('thunkInstructions').before).toBe(0);
      expect(at('thunkInstructions').difference).toBeGreaterThan(-10 * at('siteInstructions').difference);
      const { kind, before, after } = at('thunkInstructions').evidence;
      const sites = before['direct-call'];
      expect(sites).toBeGreaterThan(2);
      expect([kind, before, after]).toEqual([
        'outcomes',
        { 'direct-call': sites },
        { 'unchanged (clobber-test)': sites },
      ]);
    });

    it('each site shows its bytes in both stages, and why it kept its call', () => {
      const row = changes('site').find(
        ({ name, metric }: { name: string; metric: string }) =>
          name === 'vm_normal_page mmu.pte_val #1' && metric === 'thunkInstructions',
      );
      expect(row.difference).toBeGreaterThan(100);
      const { before, after } = row.evidence;
      expect(before).toMatchObject({ outcome: 'direct-call', reason: null, bytesAfter: expect.stringMatching(/^e8/) });
      expect(after).toMatchObject({
        outcome: 'unchanged',
        reason: 'clobber-test',
        bytesBefore: expect.stringMatching(/^ff15/),
      });
      expect(after.bytesAfter).toBe(after.bytesBefore);
    });

    it('functions and causes say the same', () => {
      const named = (by: string, name: string) => changes(by).find((row: { name: string }) => row.name === name);
      expect(named('function', '__raw_callee_save_xen_pte_val').before).toBe(0);
      expect(named('cause', 'thunk').difference).toBeGreaterThan(1000);
    });

    it('no trap differs: the same work is asked of the hypervisor', () => {
      expect(changes('trap')).toEqual([]);
    });
  });

  it.each([
    ['a bitness without a kernel', ['--guest', 'xen', '--bits', '32'], 'xen-64'],
    ['a type without a kernel', ['--guest', 'kvm'], 'native-64'],
    ['a stage that it cannot have', ['--guest', 'xen', '--stage', 'nopv'], 'v2.6.29'],
  ])('%s is refused, and what is valid is named', (_, args, valid) => {
    const { status, stdout, stderr } = pvtrailIn(folder, 'run', ...args);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain('input/unsupported-combination');
    expect(stderr).toContain(valid);
  });
});
