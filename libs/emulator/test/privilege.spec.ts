import { describe, expect, it } from 'vitest';
import { Vector } from '../src/guest-fault.js';
import { CODE_AT, FAULTS, fault, machine64, userMachine64 } from './machine-64.js';

/** [rax] is memory that ring 3 may read and write, so that only the privilege is missing. */
const PRIVILEGED: readonly (readonly [name: string, code: readonly number[]])[] = [
  ['hlt', [0xf4]],
  ['cli', [0xfa]],
  ['sti', [0xfb]],
  ['rdmsr', [0x0f, 0x32]],
  ['wrmsr', [0x0f, 0x30]],
  ['mov cr0, rax', [0x0f, 0x22, 0xc0]],
  ['mov cr3, rax', [0x0f, 0x22, 0xd8]],
  ['mov cr4, rax', [0x0f, 0x22, 0xe0]],
  ['mov rax, cr0', [0x0f, 0x20, 0xc0]],
  ['mov rax, cr2', [0x0f, 0x20, 0xd0]],
  ['mov rax, cr3', [0x0f, 0x20, 0xd8]],
  ['mov rax, cr4', [0x0f, 0x20, 0xe0]],
  ['mov dr7, rax', [0x0f, 0x23, 0xf8]],
  ['mov rax, dr6', [0x0f, 0x21, 0xf0]],
  ['clts', [0x0f, 0x06]],
  ['lmsw ax', [0x0f, 0x01, 0xf0]],
  ['invlpg [rax]', [0x0f, 0x01, 0x38]],
  ['lgdt [rax]', [0x0f, 0x01, 0x10]],
  ['lidt [rax]', [0x0f, 0x01, 0x18]],
  ['ltr ax', [0x0f, 0x00, 0xd8]],
  ['lldt ax', [0x0f, 0x00, 0xd0]],
  ['wbinvd', [0x0f, 0x09]],
  ['invd', [0x0f, 0x08]],
  ['swapgs', [0x0f, 0x01, 0xf8]],
  ['sysretq', [0x48, 0x0f, 0x07]],
  ['in eax, 0xf0', [0xe5, 0xf0]],
  ['in eax, dx', [0xed]],
  ['out 0xe0, eax', [0xe7, 0xe0]],
  ['out dx, al', [0xee]],
];

describe('ring 3', () => {
  it.each(PRIVILEGED)('may not execute %s', (_name, code) => {
    const machine = userMachine64(code, FAULTS);
    machine.cpu.setGpr(0, BigInt(CODE_AT + 0x800));
    const { cr0, cr3, cr4, gsBase, gdtr, idtr, rflags } = machine.cpu;
    expect(machine.run()).toEqual(fault(Vector.generalProtection));
    const { cpu } = machine;
    expect([cpu.rip, cpu.cpl]).toEqual([BigInt(CODE_AT), 3]);
    const after = [cpu.cr0, cpu.cr3, cpu.cr4, cpu.gsBase, cpu.gdtr, cpu.idtr, cpu.rflags];
    expect(after).toEqual([cr0, cr3, cr4, gsBase, gdtr, idtr, rflags]);
  });

  it.each([
    ['cli', [0xfa], 0x3202, 0x3002],
    ['sti', [0xfb], 0x3002, 0x3202],
  ])('may execute %s when its IOPL is 3', (_name, code, before, after) => {
    const machine = userMachine64([...code, 0x0f, 0x0b], FAULTS);
    machine.cpu.flags = before;
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    expect(machine.cpu.rflags).toBe(BigInt(after));
  });

  it('may use ports when its IOPL is 3', () => {
    const machine = userMachine64([0xb8, 5, 0, 0, 0, 0xe7, 0xe0]);
    machine.cpu.flags = 0x3002;
    expect(machine.run()).toEqual({ kind: 'marker', code: 5 });
  });

  it.each([
    [0x202, 0x3847, 0xa47],
    [0x002, 0x3bd7, 0x8d7],
  ])('changes neither IF nor IOPL by popf: flags %i, popped %i', (before, popped, after) => {
    const machine = userMachine64([0x9d, 0x0f, 0x0b], FAULTS);
    const { cpu, ram } = machine;
    cpu.flags = before;
    new DataView(ram.buffer, ram.byteOffset).setUint32(Number(cpu.gpr(4)) - 8, popped & ~0x100, true);
    cpu.setGpr(4, cpu.gpr(4) - 8n);
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    expect(cpu.rflags).toBe(BigInt(after));
  });
});

describe('ring 0', () => {
  it('changes IF and IOPL by popf', () => {
    const machine = machine64([0x68, 0x02, 0x32, 0, 0, 0x9d, 0x0f, 0x0b], FAULTS);
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    expect(machine.cpu.rflags).toBe(0x3202n);
  });

  it('keeps what it wrote to the debug registers', () => {
    const machine = machine64([0x0f, 0x23, 0xd8, 0x31, 0xc0, 0x0f, 0x21, 0xd8, 0x0f, 0x0b], FAULTS);
    machine.cpu.setGpr(0, 0x12345678n);
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    expect(machine.cpu.gpr(0)).toBe(0x12345678n);
  });
});
