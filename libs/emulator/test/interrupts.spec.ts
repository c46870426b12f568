import { describe, expect, it } from 'vitest';
import { Vector } from '../src/guest-fault.js';
import type { Machine } from '../src/index.js';
import {
  CODE_AT,
  FAULTS,
  fault,
  GDT,
  handlerCode,
  MARKER,
  machine64,
  movEax,
  SELECTORS,
  STACK_0_TOP,
  STACK_TOP,
  userMachine64,
  wordsAt,
} from './machine-64.js';

const UD2 = [0x0f, 0x0b];
const IRETQ = [0x48, 0xcf];
const NOP = 0x90;
const CLI = 0xfa;
const STI = 0xfb;
const HLT = 0xf4;
/** The device's line 1 (docs/adr/001). */
const REQUEST_LINE_1 = [...movEax(1), 0xe7, 0xe8];
const LINE_1 = 0x22;
const TIMER = 0x20;
const marker = (vector: number) => ({ kind: 'marker', code: handlerCode(vector) });

interface Frame {
  readonly rip?: bigint;
  readonly cs?: number;
  readonly flags?: number;
  readonly rsp?: bigint;
  readonly ss?: number;
}

/** iretq in a ring, over a frame; what it returns to is ud2. */
const returning = (machine: Machine, frame: Frame): Machine => {
  const { cpu, ram } = machine;
  const {
    rip = BigInt(CODE_AT + 0x40),
    cs = SELECTORS.userCode,
    flags = 2,
    rsp = 0x1f000n,
    ss = SELECTORS.userData,
  } = frame;
  machine.writeText(CODE_AT + 0x40, Uint8Array.from(UD2));
  const at = STACK_TOP - 40;
  const view = new DataView(ram.buffer, ram.byteOffset);
  for (const [i, word] of [rip, BigInt(cs), BigInt(flags), rsp, BigInt(ss)].entries())
    view.setBigUint64(at + 8 * i, word, true);
  cpu.setGpr(4, BigInt(at));
  return machine;
};

describe('iretq', () => {
  it('goes to ring 3 with the stack and all flags of its frame', () => {
    const machine = returning(machine64(IRETQ, FAULTS), { flags: 0x13a47 });
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    const { cpu } = machine;
    expect([cpu.cpl, cpu.selector('cs'), cpu.selector('ss')]).toEqual([3, SELECTORS.userCode, SELECTORS.userData]);
    // RF serves one instruction only, and is not kept
    expect([cpu.rip, cpu.gpr(4), cpu.rflags]).toEqual([BigInt(CODE_AT + 0x40), 0x1f000n, 0x3a47n]);
  });

  it('stays in ring 0 and takes the stack of its frame there too', () => {
    const machine = returning(machine64(IRETQ, FAULTS), { cs: SELECTORS.kernelCode, ss: SELECTORS.kernelData });
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    expect([machine.cpu.cpl, machine.cpu.gpr(4)]).toEqual([0, 0x1f000n]);
  });

  it('of ring 3 changes neither IF nor IOPL', () => {
    const machine = returning(userMachine64(IRETQ, FAULTS), { flags: 0x3247 });
    expect(machine.run()).toEqual(fault(Vector.undefinedOpcode));
    expect(machine.cpu.rflags).toBe(0x47n);
  });

  it.each<[string, Frame, number, number]>([
    ['no selector', { cs: 0 }, Vector.generalProtection, 0],
    ['a selector beyond the table', { cs: 0x53 }, Vector.generalProtection, 0x50],
    ['a segment of data', { cs: SELECTORS.kernelData }, Vector.generalProtection, 0x18],
    ['a segment that is not present', { cs: 0x4b }, Vector.segmentNotPresent, 0x48],
    ['an address that is not canonical', { rip: 0x800000000000n }, Vector.generalProtection, 0],
    ['a stack without selector in ring 3', { ss: 3 }, Vector.generalProtection, 0],
    ['a stack of another ring', { ss: SELECTORS.kernelData }, Vector.generalProtection, 0x18],
    ['a ring 3 in code of ring 0', { cs: SELECTORS.kernelCode | 3 }, Vector.generalProtection, 0x10],
  ])('refuses %s', (_what, frame, vector, errorCode) => {
    const machine = returning(machine64(IRETQ, FAULTS), frame);
    const view = new DataView(machine.ram.buffer, machine.ram.byteOffset);
    view.setBigUint64(GDT + 0x48, 0x00af7b000000ffffn, true);
    expect(machine.run()).toEqual(fault(vector, errorCode));
    expect([machine.cpu.rip, machine.cpu.cpl, machine.cpu.gpr(4)]).toEqual([
      BigInt(CODE_AT),
      0,
      BigInt(STACK_TOP - 40),
    ]);
  });

  it('does not lead from ring 3 to ring 0', () => {
    const frame = { cs: SELECTORS.kernelCode, ss: SELECTORS.kernelData };
    const machine = returning(userMachine64(IRETQ, FAULTS), frame);
    expect(machine.run()).toEqual(fault(Vector.generalProtection, SELECTORS.kernelCode));
  });
});

describe('int n', () => {
  const INT3 = [0xcd, 3];

  it('of ring 3 enters the handler on the stack of ring 0, with the return address behind itself', () => {
    const machine = userMachine64(INT3);
    machine.cpu.flags = 0x247;
    expect(machine.run()).toEqual(marker(3));
    const { cpu } = machine;
    expect(cpu.gpr(4)).toBe(BigInt(STACK_0_TOP - 40));
    expect(wordsAt(machine, cpu.gpr(4), 5)).toEqual([
      BigInt(CODE_AT + 2),
      BigInt(SELECTORS.userCode),
      0x247n,
      BigInt(STACK_TOP),
      BigInt(SELECTORS.userData),
    ]);
    expect([cpu.cpl, cpu.selector('cs'), cpu.selector('ss')]).toEqual([0, SELECTORS.kernelCode, 0]);
    expect(cpu.rflags & 0x200n).toBe(0n);
  });

  it('of ring 0 stays on its stack, aligned to 16 bytes', () => {
    const machine = machine64([0xcd, 0x21]);
    machine.cpu.setGpr(4, BigInt(STACK_TOP - 4));
    expect(machine.run()).toEqual(marker(0x21));
    expect(machine.cpu.gpr(4)).toBe(BigInt(STACK_TOP - 16 - 40));
    expect(wordsAt(machine, machine.cpu.gpr(4), 4)[3]).toBe(BigInt(STACK_TOP - 4));
  });

  it('of ring 3 through a gate of ring 0 is a protection fault that names the gate, and returns to the instruction', () => {
    const machine = userMachine64([0xcd, 0x20]);
    expect(machine.run()).toEqual(marker(Vector.generalProtection));
    const [errorCode, rip, cs, flags] = wordsAt(machine, machine.cpu.gpr(4), 6);
    expect([errorCode, rip, cs]).toEqual([BigInt(0x20 * 8 + 2), BigInt(CODE_AT), BigInt(SELECTORS.userCode)]);
    // a fault's frame has RF
    expect(flags).toBe(0x10002n);
  });

  it('beyond the table is a protection fault', () => {
    const machine = machine64([0xcd, 0x30]);
    expect(machine.run()).toEqual(marker(Vector.generalProtection));
    expect(wordsAt(machine, machine.cpu.gpr(4), 1)).toEqual([BigInt(0x30 * 8 + 2)]);
  });

  it('int3 and ud2 push no error code, a protection fault does', () => {
    expect(machine64([0xcc]).run()).toEqual(marker(3));
    const undefinedOpcode = machine64(UD2);
    expect(undefinedOpcode.run()).toEqual(marker(6));
    expect(wordsAt(undefinedOpcode, undefinedOpcode.cpu.gpr(4), 1)).toEqual([BigInt(CODE_AT)]);
  });
});

describe('an interrupt', () => {
  /** Where the interrupted program goes on. */
  const interruptedAt = (machine: Machine): number => Number(wordsAt(machine, machine.cpu.gpr(4), 1)[0]) - CODE_AT;

  it('waits while IF is clear, and past the instruction behind sti', () => {
    const code = [...REQUEST_LINE_1, NOP, STI, NOP, NOP];
    const machine = machine64(code);
    expect(machine.run()).toEqual(marker(LINE_1));
    expect(interruptedAt(machine)).toBe(code.length - 1);
    // its gate clears IF, its frame has it
    expect([machine.cpu.rflags & 0x200n, wordsAt(machine, machine.cpu.gpr(4), 3)[2]]).toEqual([0n, 0x202n]);
  });

  it('is not taken between sti and cli', () => {
    const machine = machine64([...REQUEST_LINE_1, STI, CLI, ...movEax(9), ...MARKER]);
    expect(machine.run()).toEqual({ kind: 'marker', code: 9 });
  });

  it('is taken at once where IF is set already: sti delays nothing then', () => {
    const machine = machine64([STI, NOP, ...REQUEST_LINE_1, STI, NOP]);
    expect(machine.run()).toEqual(marker(LINE_1));
    expect(interruptedAt(machine)).toBe(2 + REQUEST_LINE_1.length);
  });

  it('is taken behind a popf that sets IF', () => {
    const code = [...REQUEST_LINE_1, 0x68, 0x02, 0x02, 0, 0, 0x9d];
    const machine = machine64([...code, NOP, NOP]);
    expect(machine.run()).toEqual(marker(LINE_1));
    expect(interruptedAt(machine)).toBe(code.length);
  });

  it('is taken behind an iretq that sets IF, before the first instruction of ring 3', () => {
    const machine = returning(machine64([...REQUEST_LINE_1, ...IRETQ]), { flags: 0x202 });
    expect(machine.run()).toEqual(marker(LINE_1));
    const frame = [BigInt(CODE_AT + 0x40), BigInt(SELECTORS.userCode), 0x202n, 0x1f000n, BigInt(SELECTORS.userData)];
    expect(wordsAt(machine, machine.cpu.gpr(4), 5)).toEqual(frame);
    expect(machine.cpu.gpr(4)).toBe(BigInt(STACK_0_TOP - 40));
  });

  it('of the highest line comes first', () => {
    const both = [...REQUEST_LINE_1, ...movEax(3), 0xe7, 0xe8, STI, NOP];
    expect(machine64(both).run()).toEqual(marker(LINE_1 + 2));
  });
});

describe('hlt', () => {
  it('waits for the timer, however far away, and goes on behind itself', () => {
    const code = [...movEax(1_000_000), 0xe7, 0xe4, STI, HLT];
    const machine = machine64([...code, NOP]);
    expect(machine.run()).toEqual(marker(TIMER));
    expect(wordsAt(machine, machine.cpu.gpr(4), 1)).toEqual([BigInt(CODE_AT + code.length)]);
  });

  it('ends at once where an interrupt waits', () => {
    expect(machine64([...REQUEST_LINE_1, STI, HLT, NOP]).run()).toEqual(marker(LINE_1));
  });

  it('with interrupts off is a deadlock, even with the timer on', () => {
    const exit = machine64([...movEax(1000), 0xe7, 0xe4, HLT]).run();
    expect(exit).toMatchObject({ kind: 'failed', failure: { code: 'guest/deadlock' } });
  });
});
