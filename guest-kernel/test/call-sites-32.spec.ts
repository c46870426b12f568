import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { defines, linkOfStage, NATIVE_64 } from '../build/src/stages.js';
import { STAGES } from './committed-kernel.js';

const here = import.meta.dirname;
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'sites-32-'));
afterAll(() => fs.rmSync(work, { recursive: true }));

const FLAGS = ['-m32', '-O2', '-ffreestanding', '-fno-pic', '-fcf-protection=none', '-mregparm=3', '-c'];

interface Site {
  readonly type: number;
  readonly mask: string;
  readonly bytes: string;
}

/** Sites of a source compiled for a stage, in the order of their records: address, u8 type, u8 length, u16 mask (domain.md §2.3). */
const sitesOf = (source: string, stage: string, pae: number): Site[] => {
  const object = path.join(work, `${stage}-${pae}-${source}.o`);
  const section = (name: string): Buffer => {
    const file = `${object}${name}`;
    execFileSync('objcopy', ['-O', 'binary', '-j', name, '--set-section-flags', `${name}=alloc`, object, file]);
    return fs.readFileSync(file);
  };
  const guest = { ...NATIVE_64, defines: ['-DGUEST_NATIVE=1', '-DBITS64=0', `-DPAE=${pae}`] };
  const switches = defines(guest, linkOfStage(guest, stage));
  const include = path.join(here, '../src/include');
  execFileSync('gcc', [...FLAGS, ...switches, '-I', include, '-o', object, path.join(here, 'sites-32', source)]);
  const text = section('.text');
  const records = section('.parainstructions');
  return Array.from({ length: records.length / 8 }, (_, index) => {
    const start = records.readUInt32LE(8 * index);
    return {
      type: records.readUInt8(8 * index + 4),
      mask: records.readUInt16LE(8 * index + 6).toString(16),
      bytes: text.toString('hex', start, start + records.readUInt8(8 * index + 5)),
    };
  });
};

const ROWS = fs
  .readFileSync(path.join(here, 'cases/site-bytes-32.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .slice(1)
  .map((line) => {
    const [source = '', types = '', mask = '', stages = '', bytes = ''] = line.split('|').map((cell) => cell.trim());
    const [first, last] = stages.split('..').map((name) => (STAGES as readonly string[]).indexOf(name));
    return { source, types: types.split('/').map(Number), mask, first: first ?? 0, last: last ?? 0, bytes };
  });

const expected = (kind: 'c' | 'asm', stage: string, pae: number) => {
  const number = (STAGES as readonly string[]).indexOf(stage);
  return ROWS.filter(
    ({ source, first, last }) => source.startsWith('asm ') === (kind === 'asm') && first <= number && number <= last,
  ).map(({ types, mask, bytes }) => ({
    type: types[pae],
    mask,
    bytes: expect.stringMatching(new RegExp(`^${bytes.replaceAll(' ', '').replace('AAAAAAAA', '[0-9a-f]{8}')}$`)),
  }));
};

describe.each(['2level', 'pae'])('call sites of 32-bit kernels, %s', (paging) => {
  const pae = Number(paging === 'pae');

  it.each(STAGES)('of %s in C have the bytes and masks of the table', (stage) => {
    expect(sitesOf('c-sites.c', stage, pae)).toEqual(expected('c', stage, pae));
  });

  it.each(STAGES)('of %s in assembly have the bytes and masks of the table', (stage) => {
    expect(sitesOf('asm-sites.S', stage, pae)).toEqual(expected('asm', stage, pae));
  });
});
