import { describe, expect, it } from 'vitest';
import { CODE_AT, MARKER, machine32, STACK_TOP } from './machine-32.js';

const marked = (code: readonly number[]) => {
  const machine = machine32([...code, ...MARKER]);
  return { exit: machine.run(), machine };
};

describe.each(['pae', 'two-level'] as const)('32-bit code behind %s page tables', (paging) => {
  it('runs at low addresses and at the same memory above 3 GiB', () => {
    // mov ecx, 5; inc eax; loop; jmp to the same text above 3 GiB; marker
    const code = [0x31, 0xc0, 0xb9, 5, 0, 0, 0, 0x40, 0xe2, 0xfd, 0xe9, 0, 0, 0, 0xc0, ...MARKER];
    const machine = machine32(code, paging);
    expect(machine.run()).toEqual({ kind: 'marker', code: 5 });
    expect(machine.cpu.rip).toBe(BigInt(0xc0000000 + CODE_AT + code.length));
    expect(machine.blocks.every(({ bits, virt }) => bits === 32 && virt < 1n << 32n)).toBe(true);
  });
});

describe('32-bit code', () => {
  it('knows the short forms of inc and dec', () => {
    expect(marked([0xb8, 7, 0, 0, 0, 0x40, 0x40, 0x48]).exit).toEqual({ kind: 'marker', code: 8 });
  });

  it('addresses memory by a displacement alone, not relative to eip', () => {
    // mov dword [0x11000], 9; mov eax, [0x11000]
    const code = [0xc7, 0x05, 0, 0x10, 1, 0, 9, 0, 0, 0, 0xa1, 0, 0x10, 1, 0];
    expect(marked(code).exit).toEqual({ kind: 'marker', code: 9 });
  });

  it('calls and returns with 4 bytes on the stack', () => {
    const { machine, exit } = marked([0xe8, 0, 0, 0, 0, 0x58]);
    expect(exit).toEqual({ kind: 'marker', code: CODE_AT + 5 });
    expect(machine.cpu.gpr(4)).toBe(BigInt(STACK_TOP));
  });

  it('saves and restores all registers by pusha and popa, but for the stack pointer', () => {
    // mov ebx, 0x12345678; pusha; xor ebx, ebx; mov [esp+12], ebx (the saved esp); popa; mov eax, ebx
    const code = [0xbb, 0x78, 0x56, 0x34, 0x12, 0x60, 0x31, 0xdb, 0x89, 0x5c, 0x24, 0x0c, 0x61, 0x89, 0xd8];
    const { machine, exit } = marked(code);
    expect(exit).toEqual({ kind: 'marker', code: 0x12345678 });
    expect(machine.cpu.gpr(4)).toBe(BigInt(STACK_TOP));
  });

  it('wraps addresses and registers at 4 GiB', () => {
    // mov ecx, 0xffffffff; mov eax, [ecx + 0x10006]: the second instruction reads itself
    const code = [0xb9, 0xff, 0xff, 0xff, 0xff, 0x8b, 0x81, 0x06, 0, 1, 0];
    expect(marked(code).exit).toEqual({ kind: 'marker', code: 0x0006818b });
    expect(marked([0x31, 0xc0, 0x48, 0x83, 0xc0, 0x03]).exit).toEqual({ kind: 'marker', code: 2 });
  });

  // ModRM of 16-bit addresses (SDM vol. 2, table 2-1), with bx = 0xfffe, bp = 0x100, si = 4, di = 0x20 below other upper halves
  it.each([
    ['bx + si + 1', [0x40, 0x01], 3],
    ['bx + di', [0x01], 0x1e],
    ['bp + si - 1', [0x42, 0xff], 0x103],
    ['bp + di', [0x03], 0x120],
    ['si', [0x04], 4],
    ['di + 0x1234', [0x85, 0x34, 0x12], 0x1254],
    ['0x8765', [0x06, 0x65, 0x87], 0x8765],
    ['bp + 2', [0x46, 0x02], 0x102],
    ['bx', [0x07], 0xfffe],
  ])('computes 16-bit addresses where a prefix asks for it: %s', (_, operand, address) => {
    const registers = [
      ...[0xbb, 0xfe, 0xff, 1, 0],
      ...[0xbd, 0, 1, 2, 0],
      ...[0xbe, 4, 0, 3, 0],
      ...[0xbf, 0x20, 0, 4, 0],
    ];
    expect(marked([...registers, 0x67, 0x8d, ...operand]).exit).toEqual({ kind: 'marker', code: address });
  });

  it('reads and writes at 16-bit addresses', () => {
    // mov bx, 0x7000; mov dword [bx + 4], 11; mov eax, [bx + 4]
    const code = [0x66, 0xbb, 0, 0x70, 0x67, 0xc7, 0x47, 0x04, 11, 0, 0, 0, 0x67, 0x8b, 0x47, 0x04];
    expect(marked(code).exit).toEqual({ kind: 'marker', code: 11 });
  });

  it('has no transfers of 16 bits: a near return that cuts eip ends the guest, with its bytes', () => {
    const exit = machine32([0x66, 0xc3]).run();
    if (exit.kind !== 'failed') throw new Error(`the guest ended as ${exit.kind}`);
    expect(exit.failure.message).toMatch(/vector 13 while entering the double fault handler/);
    expect([...exit.failure.bytes.subarray(0, 2)]).toEqual([0x66, 0xc3]);
  });
});
