import { readFileSync } from 'node:fs';
import { fromHex } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { describeBlock, describeInstructions, type ReferenceSlot } from '../src/index.js';

const rowsOf = (name: string): string[][] =>
  readFileSync(new URL(`cases/${name}.txt`, import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('|').map((cell) => cell.trim()));

const bitsOf = (cell: string | undefined): 32 | 64 => (cell === '32' ? 32 : 64);

const LETTER = { read: 'r', write: 'w', update: 'u' } as const;
const slotText = (slot: ReferenceSlot): string =>
  `${LETTER[slot.direction]}${slot.widthBytes}${slot.stack ? '!' : ''}${slot.repeated ? '*' : ''}`;

describe('the reference slots of an instruction', () => {
  it.each(rowsOf('slots'))('%s bit: %s has %s', (bits, bytes = '', expected) => {
    const block = describeBlock(fromHex(bytes), 0x1000n, bitsOf(bits));
    expect(block.instructions).toHaveLength(1);
    expect(block.slots.map(slotText).join(' ') || '-').toBe(expected);
  });
});

describe('where a block ends', () => {
  it.each(rowsOf('blocks'))('%s bit at %s: %s has %s instructions, %s bytes, ends by %s', (...row) => {
    const [bits, virt, bytes = '', instructions, byteLength, kind, target] = row;
    const block = describeBlock(fromHex(bytes), BigInt(`0x${virt}`), bitsOf(bits));
    expect({
      instructions: String(block.instructions.length),
      byteLength: String(block.byteLength),
      kind: block.end.kind,
      target: block.end.target === undefined ? '-' : block.end.target.toString(16),
      complete: block.complete,
    }).toEqual({ instructions, byteLength, kind, target, complete: kind !== 'bytes' });
  });
});

describe('what an instruction is', () => {
  it.each(rowsOf('shapes'))('%s bit: %s is %s', (bits, bytes = '', mnemonic, nop, stackUse, register, systemClass) => {
    const [shape, ...rest] = describeInstructions(fromHex(bytes), 0x1000n, bitsOf(bits));
    expect(rest).toEqual([]);
    expect(shape).toMatchObject({
      mnemonic,
      nop: nop === 'yes',
      stackUse: stackUse === '-' ? undefined : stackUse,
      stackRegister: register === '-' ? undefined : register,
      systemClass: systemClass === '-' ? undefined : systemClass,
    });
  });
});
