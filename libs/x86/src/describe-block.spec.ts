import { fromHex } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { describeBlock, disassemble, isNop, registerUse } from './index.js';

describe('describeBlock', () => {
  it('ends a block with its 64th instruction', () => {
    const block = describeBlock(new Uint8Array(100).fill(0x90), 0x1000n, 64);
    expect(block.instructions).toHaveLength(64);
    expect(block.end.kind).toBe('size');
  });

  it('gives slots in the order of execution, with the instruction each belongs to', () => {
    // push rbx; mov rax,[rdi]; add [rsi],rax; ret
    const block = describeBlock(fromHex('53 488b07 480106 c3'), 0x1000n, 64);
    expect(block.slots.map((slot) => [slot.instruction, slot.direction])).toEqual([
      [0, 'write'],
      [1, 'read'],
      [2, 'update'],
      [3, 'read'],
    ]);
  });

  it('describes the whole instructions of a window that stops inside the block', () => {
    const block = describeBlock(fromHex('53 488b'), 0x1000n, 64);
    expect(block).toMatchObject({ complete: false, byteLength: 1, end: { kind: 'bytes' } });
  });
});

describe('register use', () => {
  it('names full registers, implicit ones included', () => {
    expect(registerUse(fromHex('50 88d8 f7e1'), 64)).toEqual([
      { offset: 0, length: 1, reads: ['rax', 'rsp'], writes: ['rsp'] },
      { offset: 1, length: 2, reads: ['rbx'], writes: ['rax'] },
      { offset: 3, length: 2, reads: ['rax', 'rcx'], writes: ['rax', 'rdx'] },
    ]);
    expect(registerUse(fromHex('88d8'), 32)).toEqual([{ offset: 0, length: 2, reads: ['ebx'], writes: ['eax'] }]);
  });
});

describe('listings', () => {
  it('are in AT&T syntax with the bytes', () => {
    expect(disassemble(fromHex('ff142500100081 06'), 0xffffffff81000000n, 64)).toEqual([
      { virt: 0xffffffff81000000n, length: 7, bytes: 'ff142500100081', text: 'callq *0xffffffff81001000' },
      { virt: 0xffffffff81000007n, length: 1, bytes: '06', text: '(bad)' },
    ]);
  });
});

describe('isNop', () => {
  it('holds for a run of nops only', () => {
    expect(isNop(fromHex('6690 0f1f440000'), 64)).toBe(true);
    expect(isNop(fromHex('6690 c3'), 64)).toBe(false);
    expect(isNop(fromHex(''), 64)).toBe(false);
    expect(isNop(fromHex('8d742600'), 32)).toBe(true);
  });
});
