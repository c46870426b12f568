import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentIn, pvtrailIn } from './command-line.js';

const WORKLOAD = ['--workload', 'spinlock', '--iterations', '2'];
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-commands-'));

const pvtrail = (...args: string[]) => pvtrailIn(folder, ...args);
const documentOf = (...args: string[]) => documentIn(folder, ...args);

afterAll(() => fs.rmSync(folder, { recursive: true }));

describe('the commands, over one data folder', () => {
  beforeAll(() => {
    for (const stage of ['nopv', 'v2.6.29', 'callee-save-pte']) documentOf('run', '--stage', stage, ...WORKLOAD);
  }, 180_000);

  it('sites lists every call site with its bytes, outcome and executions', () => {
    const { sites } = documentOf('sites', '--stage', 'v2.6.29', ...WORKLOAD);
    expect(sites.length).toBeGreaterThan(190);
    const saves = sites.filter((site: { op: string; recordType: string }) => site.op === 'irq.save_fl');
    expect(saves[0]).toEqual({
      address: expect.stringMatching(/^0xffffffff81/),
      function: expect.any(String),
      op: 'irq.save_fl',
      recordType: 'c-irq',
      clobbers: 1,
      length: 8,
      bytesBefore: expect.stringMatching(/^57ff15[0-9a-f]{8}5f$/),
      bytesAfter: '9c58660f1f440000',
      outcome: 'inline',
      reason: null,
      executions: expect.any(Number),
    });
    const busy = sites.find(
      (site: { function: string; op: string }) => site.function === 'spin_lock_save' && site.op === 'irq.save_fl',
    );
    expect(busy.executions).toBeGreaterThan(100);
  });

  it('sites filters, and prints both texts of a site', () => {
    const { stdout, status } = pvtrail('sites', '--stage', 'v2.6.29', ...WORKLOAD, '--function', 'spin_lock_save');
    expect(status).toBe(0);
    expect(stdout).toMatch(/push %rdi; callq \*.*; pop %rdi .* pushf; pop %rax/);
    expect(stdout).toMatch(/\d+ call sites: /);
  });

  it('sites of a kernel without paravirt are none', () => {
    expect(documentOf('sites', '--stage', 'nopv', ...WORKLOAD).sites).toEqual([]);
  });

  it('compare gives value and overhead of each metric, and the share removed', () => {
    const { rows } = documentOf('compare', '--metric', 'instructions');
    const at = (stage: string) => rows.find((row: { stage: string }) => row.stage === stage);
    expect(rows).toHaveLength(3);
    expect(at('nopv')).toMatchObject({
      guest: 'native',
      bits: 64,
      workload: 'spinlock',
      metric: 'instructions',
      overhead: 0,
    });
    const [zero, base, series] = [at('nopv').value, at('v2.6.29').value, at('callee-save-pte').value];
    expect(at('v2.6.29').overhead).toBe(base - zero);
    expect(at('callee-save-pte').shareRemoved).toBeCloseTo(1 - (series - zero) / (base - zero));
  });

  it('compare says what changed between two stages', () => {
    const { rows } = documentOf('compare', '--between', 'v2.6.29', 'callee-save-pte', '--by', 'function');
    const changed = rows.find((row: { name: string }) => row.name === 'spin_lock_save');
    expect(changed.difference).toBe(changed.after - changed.before);
    expect(changed.difference).toBeLessThan(0);
  });

  it('keeps a trace that verify finds whole, and damaged when it is', () => {
    const { guests } = documentOf('run', '--stage', 'v2.6.30', '--keep-trace', ...WORKLOAD);
    const traces = path.join(folder, 'traces', guests[0].guestId);
    const files = fs.readdirSync(traces).map((name) => path.join(traces, name));
    expect(files).toHaveLength(guests[0].chunks);
    expect(files.reduce((bytes, file) => bytes + fs.statSync(file).size, 0)).toBe(guests[0].bytes);
    expect(documentOf('verify', ...files).traces[0]).toMatchObject({ chunks: guests[0].chunks, complete: true });
    const [first = ''] = files;
    fs.writeFileSync(first, fs.readFileSync(first).subarray(0, -5));
    const { status, stdout, stderr } = pvtrail('verify', ...files);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/trace\/truncated-chunk/);
  });

  it('a guest over its budget fails alone, with registers and last blocks in its event', () => {
    const { status, stderr, stdout } = pvtrail('run', '--max-instructions', '300000', ...WORKLOAD, '--json');
    expect([status, stdout]).toEqual([1, '']);
    const [, guest = ''] = /the first, ([0-9a-f]{32}): guest\/budget-exhausted/.exec(stderr) ?? [];
    const { events } = documentOf('events', guest);
    const failed = events.find((event: { type: string }) => event.type === 'GuestFailed');
    expect(failed.payload.lastBlocks).toHaveLength(16);
    expect(failed.payload.lastBlocks[15]).toMatchObject({
      address: expect.stringMatching(/^0x[0-9a-f]{16}$/),
      bytes: expect.stringMatching(/^([0-9a-f]{2})+$/),
    });
    expect(Object.keys(failed.payload.registers)).toContain('rip');
  });

  it('names what it does not know, and what would be valid', () => {
    for (const [args, code, valid] of [
      [['run', '--guest', 'bochs'], 'input/unknown-guest', 'vsmp'],
      [['run', '--workload', 'none'], 'input/unknown-workload', 'nullsyscall'],
      [['run', '--bits', '16'], 'input/invalid', '32'],
      [['compare', '--metric', 'joy'], 'input/invalid', 'l2References'],
      [['compare', '--between', 'v2.6.29', 'v3'], 'input/unknown-stage', 'clobber-aware'],
      [['events', 'nothing'], 'input/not-found', 'nothing'],
      [['verify', path.join(folder, 'missing')], 'input/not-found', 'missing'],
    ] as const) {
      const { status, stdout, stderr } = pvtrail(...args);
      expect([args, status, stdout]).toEqual([args, 1, '']);
      expect(stderr).toContain(code);
      expect(stderr).toContain(valid);
    }
    expect(pvtrail('run', '--stagee', 'x').status).toBe(2);
    expect(pvtrail('walk').status).toBe(2);
  });
});
