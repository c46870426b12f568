import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { defines, type Link, NATIVE_64 } from '../build/src/stages.js';

const here = import.meta.dirname;
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'defects-32-'));
afterAll(() => fs.rmSync(work, { recursive: true }));

const FLAGS = [
  '-m32',
  '-O2',
  '-ffreestanding',
  '-fno-pic',
  '-fcf-protection=none',
  '-fno-stack-protector',
  '-mregparm=3',
];
const LOST = ['upper half of an identity', 'upper half of a thunked function', 'register kept over an irq site'];

/** What the program of `sites-32/defects.c`, compiled with the switches of a link, finds lost on this CPU. */
const lostAt = (link: Link): string[] => {
  const program = path.join(work, link.name);
  const guest = { ...NATIVE_64, defines: ['-DGUEST_NATIVE=1', '-DBITS64=0', '-DPAE=1'] };
  const include = ['-I', path.join(here, '../src/include')];
  const source = path.join(here, 'sites-32/defects.c');
  execFileSync('gcc', [...FLAGS, '-static', '-nostdlib', ...defines(guest, link), ...include, '-o', program, source]);
  const { status, signal } = spawnSync(program);
  expect(signal).toBeNull();
  return LOST.filter((_what, bit) => ((status ?? 0) & (1 << bit)) !== 0);
};

const [IDENTITY, THUNKED, IRQ] = LOST;

// B3: sites and thunks forgot EDX until F2 and F3. B4: since F2 thunks lose EDX, and irq sites do not say so (domain.md §4.3).
describe('a 32-bit PAE kernel, optimisation by optimisation as posted', () => {
  it.each([
    ['v2.6.29', []],
    ['identity', []],
    ['clobber-aware', []],
    ['callee-save-irq', []],
    ['callee-save-pte', [IDENTITY, THUNKED]],
    ['F1', [IDENTITY, THUNKED]],
    ['F2', [IDENTITY, THUNKED, IRQ]],
    ['F3', [IRQ]],
    ['F4', [IRQ]],
  ])('at %s loses %j', (name, lost) => {
    const link = NATIVE_64.links.find((candidate) => candidate.name === name);
    expect(link && lostAt(link)).toEqual(lost);
  });
});
