import { describe, expect, it } from 'vitest';
import { Vector } from '../src/guest-fault.js';
import type { Machine } from '../src/index.js';
import {
  CODE_AT,
  FAULTS,
  fault,
  MARKER,
  machine64,
  movEax,
  movEcx,
  movEdx,
  SELECTORS,
  STACK_TOP,
  userMachine64,
} from './machine-64.js';

const RDMSR = [0x0f, 0x32];
const WRMSR = [0x0f, 0x30];
const SYSCALL = [0x0f, 0x05];
const SYSRETQ = [0x48, 0x0f, 0x07];
const SWAPGS = [0x0f, 0x01, 0xf8];
const UD2 = [0x0f, 0x0b];
/** movabs rax, value; mov crN, rax */
const writeControl = (register: number, value: bigint): number[] => [
  0x48,
  0xb8,
  ...Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn)),
  ...[0x0f, 0x22, 0xc0 | (register << 3)],
];
const readControl = (register: number): number[] => [0x0f, 0x20, 0xc0 | (register << 3)];

const IF = 0x200n;

/** Runs kernel code to its marker; eax then has the marker's code. */
const ran = (code: readonly number[], prepare: (machine: Machine) => void = () => {}): Machine => {
  const machine = machine64([...code, ...MARKER]);
  prepare(machine);
  expect(machine.run().kind).toBe('marker');
  return machine;
};

/** The exception that the last instruction of kernel code raises; rip is at it. */
const faultOf = (code: readonly number[], lastBytes: number, prepare: (machine: Machine) => void = () => {}) => {
  const machine = machine64(code, FAULTS);
  prepare(machine);
  const exit = machine.run();
  expect(machine.cpu.rip).toBe(BigInt(CODE_AT + code.length - lastBytes));
  return exit;
};

const MSRS: readonly (readonly [name: string, number: number, value: bigint])[] = [
  ['SYSENTER_CS', 0x174, 0x10n],
  ['SYSENTER_ESP', 0x175, 0xffff880000012345n],
  ['SYSENTER_EIP', 0x176, 0xffffffff81001000n],
  ['STAR', 0xc0000081, 0x0023001000000000n],
  ['LSTAR', 0xc0000082, 0xffffffff81002000n],
  ['CSTAR', 0xc0000083, 0xffffffff81003000n],
  ['FMASK', 0xc0000084, 0x47700n],
  ['FS.base', 0xc0000100, 0x00007fffdeadb000n],
  ['GS.base', 0xc0000101, 0xffff880000100000n],
  ['KERNEL_GS_BASE', 0xc0000102, 0x00007ffff7ff0000n],
];
const ADDRESSES = MSRS.filter(([name]) => !['SYSENTER_CS', 'STAR', 'FMASK'].includes(name));
const writeMsr = (number: number, value: bigint): number[] => [
  ...movEcx(number),
  ...movEax(Number(value & 0xffffffffn)),
  ...movEdx(Number(value >> 32n)),
  ...WRMSR,
];

describe('wrmsr and rdmsr', () => {
  it.each(MSRS)('keep %s (%#)', (_name, number, value) => {
    const { cpu } = ran([...writeMsr(number, value), ...movEax(0), ...movEdx(0), ...RDMSR]);
    expect((cpu.gpr(2) << 32n) | cpu.gpr(0)).toBe(value);
  });

  it.each(ADDRESSES)('refuse an address in %s that is not canonical', (_name, number) => {
    const code = writeMsr(number, 0x0000800000000000n);
    expect(faultOf(code, 2)).toEqual(fault(Vector.generalProtection));
  });

  it('clear the upper halves of rax and rdx', () => {
    const { cpu } = ran([...movEcx(0xc0000081), ...RDMSR], ({ cpu: before }) => {
      before.setGpr(0, ~0n & 0xffffffffffffffffn);
      before.setGpr(2, ~0n & 0xffffffffffffffffn);
    });
    expect([cpu.gpr(0), cpu.gpr(2)]).toEqual([0n, 0n]);
  });

  it('read EFER, and switch system calls and no-execute but not long mode', () => {
    const { cpu } = ran([...writeMsr(0xc0000080, 0x500n), ...RDMSR]);
    expect([cpu.gpr(0), cpu.efer]).toEqual([0x500n, 0x500n]);
  });

  it.each([
    ['a reserved bit', 0xd03n],
    ['long mode off while paging is on', 0x801n],
  ])('refuse EFER with %s', (_what, value) => {
    expect(faultOf(writeMsr(0xc0000080, value), 2)).toEqual(fault(Vector.generalProtection));
  });

  it.each([0, 0x1b, 0x8b, 0x277, 0xc0000085, 0xc0000103])('refuse the unknown register %i', (number) => {
    expect(faultOf([...movEcx(number), ...RDMSR], 2)).toEqual(fault(Vector.generalProtection));
    expect(faultOf(writeMsr(number, 0n), 2)).toEqual(fault(Vector.generalProtection));
  });
});

describe('control registers', () => {
  it.each([
    ['cr0 without write protection', 0, 0x80000033n, 0x80000033n],
    ['cr0, whose ET is always set', 0, 0x80010023n, 0x80010033n],
    ['cr0, of which reserved bits stay 0', 0, 0x8001ffffn & ~0xe000n, 0x8001003fn],
    ['cr2', 2, 0x123456789abcdef0n, 0x123456789abcdef0n],
    ['cr3', 3, 0x1000n, 0x1000n],
    ['cr4 without global pages', 4, 0x30n, 0x30n],
  ])('are written and read back: %s', (_what, register, value, read) => {
    const { cpu } = ran([...writeControl(register, value), ...readControl(register)]);
    expect(cpu.gpr(0)).toBe(BigInt.asUintN(64, read));
  });

  it.each([
    ['cr0 with paging but no protection', 0, 0x80010032n],
    ['cr0 with a bit of its upper half', 0, 0x180010033n],
    ['cr0 with not-write-through but no cache disable', 0, 0xa0010033n],
    ['cr4 with a reserved bit', 4, 0x100b0n],
    ['cr4 without physical address extension, in long mode', 4, 0x90n],
    ['cr3 with an address beyond 36 bits', 3, 0x1000001000n],
  ])('refuse %s', (_what, register, value) => {
    expect(faultOf(writeControl(register, value), 3)).toEqual(fault(Vector.generalProtection));
  });

  it('that do not exist are no instructions', () => {
    expect(faultOf(writeControl(1, 0n), 3)).toEqual(fault(Vector.undefinedOpcode));
    expect(faultOf([0x0f, 0x20, 0xe8], 3)).toEqual(fault(Vector.undefinedOpcode));
  });

  it('cannot leave long mode: the guest ends', () => {
    const exit = machine64(writeControl(0, 0x10033n), FAULTS).run();
    expect(exit).toMatchObject({ kind: 'failed', failure: { code: 'guest/failed' } });
  });

  it('clts clears TS; smsw reads and lmsw writes the low bits but cannot clear PE', () => {
    const withTs = writeControl(0, 0x8001003bn);
    expect(ran([...withTs, 0x0f, 0x06, ...readControl(0)]).cpu.gpr(0)).toBe(0x80010033n);
    expect(ran([...withTs, 0x0f, 0x01, 0xe0]).cpu.gpr(0) & 0xffffn).toBe(0x3bn);
    expect(ran([...movEax(8), 0x0f, 0x01, 0xf0, ...readControl(0)]).cpu.gpr(0)).toBe(0x80010039n);
  });
});

describe('swapgs', () => {
  it('exchanges the base of gs with the kernel’s', () => {
    const { cpu } = ran([...SWAPGS], ({ cpu: before }) => {
      before.gsBase = 0x1111n;
      before.kernelGsBase = 0xffff888800000000n;
    });
    expect([cpu.gsBase, cpu.kernelGsBase]).toEqual([0xffff888800000000n, 0x1111n]);
  });
});

describe('syscall and sysret', () => {
  const KERNEL_ENTRY = CODE_AT + 0x100;
  const withSystemCalls = (machine: Machine): Machine => {
    const { cpu } = machine;
    cpu.star = 0x0023001000000000n;
    cpu.lstar = BigInt(KERNEL_ENTRY);
    cpu.sfmask = IF;
    machine.writeText(KERNEL_ENTRY, Uint8Array.from([...movEax(77), ...MARKER]));
    return machine;
  };

  it('syscall enters the kernel with the return address in rcx, the flags in r11, and those of FMASK cleared', () => {
    const machine = withSystemCalls(userMachine64(SYSCALL));
    machine.cpu.flags = 0x246;
    expect(machine.run()).toEqual({ kind: 'marker', code: 77 });
    const { cpu } = machine;
    expect([cpu.gpr(1), cpu.gpr(11), cpu.rflags]).toEqual([BigInt(CODE_AT + 2), 0x246n, 0x46n]);
    expect([cpu.cpl, cpu.selector('cs'), cpu.selector('ss')]).toEqual([0, 0x10, 0x18]);
    expect(cpu.gpr(4)).toBe(BigInt(STACK_TOP));
  });

  it('syscall is no instruction while EFER has it switched off', () => {
    const machine = withSystemCalls(userMachine64(SYSCALL, FAULTS));
    machine.cpu.efer = 0xd00n;
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
  });

  it('sysret goes to ring 3 with rip and flags of rcx and r11', () => {
    const machine = withSystemCalls(machine64(SYSRETQ, FAULTS));
    const { cpu } = machine;
    cpu.setGpr(1, BigInt(CODE_AT + 0x40));
    cpu.setGpr(11, 0x30246n);
    machine.writeText(CODE_AT + 0x40, Uint8Array.from(UD2));
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    expect([cpu.cpl, cpu.selector('cs'), cpu.selector('ss')]).toEqual([3, SELECTORS.userCode, SELECTORS.userData]);
    // RF and VM of r11 are not loaded
    expect([cpu.rip, cpu.rflags]).toEqual([BigInt(CODE_AT + 0x40), 0x246n]);
  });

  it('sysret refuses an address that is not canonical, still in ring 0', () => {
    const machine = withSystemCalls(machine64(SYSRETQ, FAULTS));
    machine.cpu.setGpr(1, 0x0000800000000000n);
    expect(machine.run()).toEqual(fault(Vector.generalProtection));
    expect([machine.cpu.cpl, machine.cpu.rip]).toEqual([0, BigInt(CODE_AT)]);
  });

  it('sysret is no instruction while EFER has it switched off', () => {
    expect(
      faultOf(SYSRETQ, 3, ({ cpu }) => {
        cpu.efer = 0xd00n;
        cpu.setGpr(1, BigInt(CODE_AT));
      }),
    ).toEqual(fault(Vector.undefinedOpcode));
  });
});
