import type { RawColumns } from '@pvtrail/trace';
import { describe, expect, it } from 'vitest';
import type { Machine } from '../src/index.js';
import {
  CODE_AT,
  HANDLERS_AT,
  MARKER,
  machine32,
  ringMachine,
  STACK_TOP,
  TABLES,
  USER_STACK_TOP,
} from './machine-32.js';

const RING_3 = 3;

interface Trace {
  readonly events: number[];
  readonly addresses: number[];
  readonly extras: number[];
}

const traced = (make: (sink: (columns: RawColumns) => void) => Machine): { machine: Machine; trace: Trace } => {
  const trace: Trace = { events: [], addresses: [], extras: [] };
  const machine = make(({ events, addresses, extras }) => {
    trace.events.push(...events);
    trace.addresses.push(...addresses);
    trace.extras.push(...extras);
  });
  return { machine, trace };
};

const word = (machine: Machine, at: number): number =>
  new DataView(machine.ram.buffer, machine.ram.byteOffset).getUint32(at, true);

const le32 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];

const MOV_EAX = (value: number): number[] => [0xb8, ...le32(value)];
const INC_EAX = 0x40;
const IRET = 0xcf;
const int = (vector: number): number[] => [0xcd, vector];

// The first time that a descriptor is used the processor marks it accessed, which assembly/ leaves to JavaScript.
describe.each([
  ['assembly/', true],
  ['JavaScript', false],
] as const)('rings of 32-bit code, by %s', (_, accessed) => {
  it('go inwards by int 0x80 to the stack of the task state, and back by iret', () => {
    const { machine, trace } = traced((sink) =>
      ringMachine([...MOV_EAX(5), ...int(0x80), ...int(0x81)], { cpl: RING_3, accessed, sink }, [
        { vector: 0x80, code: [INC_EAX, IRET] },
        { vector: 0x81, code: [...MARKER] },
      ]),
    );
    expect(machine.run()).toEqual({ kind: 'marker', code: 6 });
    const { cpu } = machine;
    expect([cpu.cpl, cpu.selector('cs'), cpu.selector('ss'), cpu.gpr(4)]).toEqual([
      0,
      0x60,
      0x68,
      BigInt(STACK_TOP - 20),
    ]);
    expect([1, 2, 4, 5].map((words) => word(machine, STACK_TOP - 4 * words))).toEqual([
      0x7b,
      USER_STACK_TOP,
      0x73,
      CODE_AT + 9,
    ]);
    const kinds = trace.events.map((event) => (event < 0x40000000 ? 'block' : event & 0xff));
    expect(kinds).toEqual(['block', 0x80, 'block', 'block', 0x81, 'block', 6]);
    expect(trace.extras).toEqual([STACK_TOP, STACK_TOP]);
    // the slots of iret: three words, without the two more of the outer ring
    expect(trace.addresses).toEqual([STACK_TOP - 20, STACK_TOP - 16, STACK_TOP - 12]);
  });

  it('stay the same for an interrupt of the kernel: three words on its own stack', () => {
    // sti; nop; nop; mov eax, ebx; marker
    const { machine, trace } = traced((sink) =>
      ringMachine([0xfb, 0x90, 0x90, 0x89, 0xd8, ...MARKER], { cpl: 0, accessed, sink }, [
        { vector: 0x21, code: [0x43, IRET] },
      ]),
    );
    machine.requestInterrupt(0x21);
    expect(machine.run()).toEqual({ kind: 'marker', code: 1 });
    expect(machine.cpu.gpr(4)).toBe(BigInt(STACK_TOP));
    expect([1, 2, 3].map((words) => word(machine, STACK_TOP - 4 * words))).toEqual([0x202, 0x60, CODE_AT + 2]);
    expect(trace.extras).toEqual([STACK_TOP]);
  });

  it('go inwards for a page fault, with its error code and address', () => {
    // mov eax, [0x800000]
    const machine = ringMachine([0xa1, ...le32(0x800000)], { cpl: RING_3, accessed }, [
      { vector: 14, code: [0x8b, 0x04, 0x24, ...MARKER] },
    ]);
    expect(machine.run()).toEqual({ kind: 'marker', code: 4 });
    expect(machine.cpu.cr2).toBe(0x800000n);
    expect(word(machine, STACK_TOP - 12) & 0x10000).toBe(0x10000);
    expect(word(machine, STACK_TOP - 20)).toBe(CODE_AT);
  });

  it('load a data segment of any base, by moves and by pop', () => {
    // mov eax, 0xd8; mov fs, eax; push 0xd8; pop gs; mov ds, [sel]; mov eax, fs:[4]; add eax, gs:[4]
    const code = [
      ...MOV_EAX(0xd8),
      ...[0x8e, 0xe0],
      ...[0x68, 0xd8, 0, 0, 0],
      ...[0x0f, 0xa9],
      ...[0x8e, 0x1d, ...le32(0x12000)],
      ...[0x64, 0xa1, 4, 0, 0, 0],
      ...[0x65, 0x03, 0x05, 4, 0, 0, 0],
      ...MARKER,
    ];
    const { machine, trace } = traced((sink) => ringMachine(code, { cpl: 0, accessed, sink }));
    const view = new DataView(machine.ram.buffer, machine.ram.byteOffset);
    view.setUint32(0x12000, 0x7b, true);
    view.setUint32(TABLES.perCpu + 4, 21, true);
    expect(machine.run()).toEqual({ kind: 'marker', code: 42 });
    expect(machine.cpu.selector('ds')).toBe(0x7b);
    const slots = [STACK_TOP - 4, STACK_TOP - 4, 0x12000, TABLES.perCpu + 4, TABLES.perCpu + 4];
    expect(trace.addresses).toEqual(slots);
  });

  it('empty on the way out what belongs to an inner ring', () => {
    // mov eax, 0xd8; mov fs, eax; push ss, esp, eflags, cs, eip; iret; (ring 3:) mov eax, fs:[0]
    const outer = CODE_AT + 0x100;
    const code = [
      ...MOV_EAX(0xd8),
      ...[0x8e, 0xe0],
      ...[0x6a, 0x7b, 0x68, ...le32(USER_STACK_TOP), 0x68, ...le32(0x202), 0x6a, 0x73, 0x68, ...le32(outer), IRET],
    ];
    const machine = ringMachine(code, { cpl: 0, accessed }, [{ vector: 13, code: [0x8b, 0x04, 0x24, ...MARKER] }]);
    machine.writeText(outer, Uint8Array.from([0x64, 0xa1, 0, 0, 0, 0]));
    expect(machine.run()).toEqual({ kind: 'marker', code: 0 });
    expect(machine.cpu.selector('fs')).toBe(0);
    expect(word(machine, STACK_TOP - 20)).toBe(outer);
  });
});

describe('a far return', () => {
  it('goes to an outer ring with the stack that it finds behind the address', () => {
    const outer = CODE_AT + 0x100;
    const code = [0x6a, 0x7b, 0x68, ...le32(USER_STACK_TOP), 0x6a, 0x73, 0x68, ...le32(outer), 0xcb];
    const machine = ringMachine(code, { cpl: 0 }, [{ vector: 0x80, code: [...MARKER] }]);
    machine.writeText(outer, Uint8Array.from([0x8c, 0xc8, 0x50, ...int(0x80)]));
    expect(machine.run()).toEqual({ kind: 'marker', code: 0x73 });
    expect(word(machine, STACK_TOP - 8)).toBe(USER_STACK_TOP - 4);
  });

  it('and a far jump load cs in the same ring', () => {
    const behind = CODE_AT + 7;
    const toNext = [0xea, ...le32(behind), 0x60, 0];
    const back = [0x6a, 0x60, 0x68, ...le32(behind + 8), 0xcb];
    expect(ringMachine([...toNext, ...back, ...MOV_EAX(3), ...MARKER], { cpl: 0 }).run()).toEqual({
      kind: 'marker',
      code: 3,
    });
  });
});

describe('sysenter and sysexit', () => {
  // wrmsr 0x174 = 0x60, 0x175 = STACK_TOP, 0x176 = HANDLERS_AT
  const setUp = (msr: number, value: number): number[] => [
    ...[0xb9, ...le32(msr)],
    ...MOV_EAX(value),
    ...[0x31, 0xd2, 0x0f, 0x30],
  ];
  const outer = CODE_AT + 0x100;
  const boot = [
    ...setUp(0x174, 0x60),
    ...setUp(0x175, STACK_TOP),
    ...setUp(0x176, HANDLERS_AT),
    // edx, ecx: where sysexit goes; sti; sysexit
    ...[0xba, ...le32(outer), 0xb9, ...le32(USER_STACK_TOP), 0xfb, 0x0f, 0x35],
  ];
  const user = [...MOV_EAX(9), 0x0f, 0x34];

  it('change the ring without touching memory', () => {
    const { machine, trace } = traced((sink) => ringMachine(boot, { cpl: 0, sink }));
    machine.writeText(outer, Uint8Array.from(user));
    machine.writeText(HANDLERS_AT, Uint8Array.from([...MARKER]));
    expect(machine.run()).toEqual({ kind: 'marker', code: 9 });
    const { cpu } = machine;
    expect([cpu.cpl, cpu.selector('cs'), cpu.selector('ss'), cpu.gpr(4)]).toEqual([0, 0x60, 0x68, BigInt(STACK_TOP)]);
    expect(cpu.flags & 0x200).toBe(0);
    expect(trace.addresses).toEqual([]);
    const ran = trace.events.filter((event) => event < 0x40000000).map((id) => machine.blocks[id]);
    expect(ran.flatMap((block) => (block?.user ? [block.virt] : []))).toEqual([BigInt(outer)]);
    expect(ran.at(-1)?.virt).toBe(BigInt(HANDLERS_AT));
  });

  it('let an interrupt that waited for sti in behind sysexit', () => {
    const machine = ringMachine(boot, { cpl: 0 }, [{ vector: 0x21, code: [0x8b, 0x04, 0x24, ...MARKER] }]);
    machine.writeText(outer, Uint8Array.from(user));
    machine.requestInterrupt(0x21);
    expect(machine.run()).toEqual({ kind: 'marker', code: outer });
    expect(word(machine, STACK_TOP - 4)).toBe(0x7b);
  });

  it('fault while there is no selector for them, and sysexit outside of the kernel', () => {
    const handler = [{ vector: 13, code: [0x8b, 0x04, 0x24, ...MARKER] }];
    expect(ringMachine([0x0f, 0x34], { cpl: RING_3 }, handler).run()).toEqual({ kind: 'marker', code: 0 });
    expect(ringMachine([0x0f, 0x35], { cpl: RING_3 }, handler).run()).toEqual({ kind: 'marker', code: 0 });
  });
});

describe('a segment', () => {
  const GP = 13;
  const exitOf = (code: readonly number[], cpl: 0 | 3 = 0) =>
    ringMachine(code, { cpl, shape: { exceptionsExit: true } }).run();
  const exception = (vector: number, errorCode: number) => ({ kind: 'exception', vector, errorCode, address: 0n });
  const load = (register: number, selector: number): number[] => [...MOV_EAX(selector), 0x8e, 0xc0 | (register << 3)];
  const [ES, SS, DS, FS] = [0, 2, 3, 4] as const;

  it('is used within its limit: 0x100 bytes for selector 0x90', () => {
    // mov eax, fs:[0xfc]: the last word; fs:[0xfd]: one byte beyond
    expect(exitOf([...load(FS, 0x90), 0x64, 0xa1, 0xfc, 0, 0, 0, ...int(0x80)])).toEqual(exception(0x80, 0));
    expect(exitOf([...load(FS, 0x90), 0x64, 0xa1, 0xfd, 0, 0, 0])).toEqual(exception(GP, 0));
    // rep movsb from fs: 0x101 bytes from 0 on
    const copy = (bytes: number) => [0x31, 0xf6, 0xbf, ...le32(0x12000), 0xb9, ...le32(bytes), 0x64, 0xf3, 0xa4];
    expect(exitOf([...load(FS, 0x90), ...copy(0x100), ...int(0x80)])).toEqual(exception(0x80, 0));
    expect(exitOf([...load(FS, 0x90), ...copy(0x101)])).toEqual(exception(GP, 0));
  });

  it('of a null selector faults when it is used, not when it is loaded', () => {
    expect(exitOf([...load(FS, 0), ...int(0x80)])).toEqual(exception(0x80, 0));
    expect(exitOf([...load(FS, 0), 0x64, 0xa1, 0, 0, 0, 0])).toEqual(exception(GP, 0));
  });

  it.each([
    ['beyond the table', DS, 0x200, 0, GP, 0x200],
    ['of the kernel in user mode', FS, 0xd8, 3, GP, 0xd8],
    ['not present', ES, 0x98, 0, 11, 0x98],
    ['of a task state', ES, 0x80, 0, GP, 0x80],
    ['that is null, for the stack', SS, 0, 0, GP, 0],
    ['of user data, for the stack of the kernel', SS, 0x7b, 0, GP, 0x78],
    ['of code, for the stack', SS, 0x60, 0, GP, 0x60],
  ] as const)('%s is not loaded', (_, register, selector, cpl, vector, errorCode) => {
    expect(exitOf(load(register, selector), cpl)).toEqual(exception(vector, errorCode));
  });

  it.each([
    ['a null selector in ds', [...load(DS, 0)], /loads a null selector into ds/],
    ['a data segment with a base in es', [...load(ES, 0xd8)], /not flat into es/],
    ['a segment that cannot be written', [...load(FS, 0x60)], /cannot be written/],
    ['a far jump through memory', [0xff, 0x2d, ...le32(0x12000)], /jumps far through memory/],
    ['a far call', [0x9a, ...le32(CODE_AT), 0x60, 0], /calls far/],
    ['a far call through memory', [0xff, 0x1d, ...le32(0x12000)], /calls far/],
    ['a far pointer to es', [0xc4, 0x05, ...le32(0x12000)], /loads a far pointer/],
    ['a far pointer to ss', [0x0f, 0xb2, 0x25, ...le32(0x12000)], /loads a far pointer/],
    ['paging switched off', [0x31, 0xc0, 0x0f, 0x22, 0xc0, ...MARKER], /(protection|paging)/],
  ] as const)('machine does not go on with what it lacks: %s', (_, code, message) => {
    expect(ringMachine(code, { cpl: 0 }).run()).toMatchObject({
      kind: 'failed',
      failure: { message: expect.stringMatching(message) },
    });
  });
});

describe('a handler of 32-bit code', () => {
  it('is not entered by an int instruction without the right to', () => {
    const machine = ringMachine([...int(0x81)], { cpl: RING_3 }, [
      { vector: 0x81, code: [...MARKER], privilege: 0 },
      { vector: 13, code: [0x8b, 0x04, 0x24, ...MARKER] },
    ]);
    expect(machine.run()).toEqual({ kind: 'marker', code: 0x81 * 8 + 2 });
  });

  it('on the way to another one gets a double fault', () => {
    // a page fault has no gate, neither has the general protection fault that follows
    const machine = ringMachine([0xa1, ...le32(0x800000)], { cpl: RING_3 }, [
      { vector: 8, code: [0x8b, 0x04, 0x24, ...MARKER] },
    ]);
    expect(machine.run()).toEqual({ kind: 'marker', code: 0 });
  });

  it('behind a task gate is refused', () => {
    const machine = ringMachine([...int(0x80)], { cpl: RING_3 });
    new DataView(machine.ram.buffer, machine.ram.byteOffset).setUint32(TABLES.idt + 0x80 * 8 + 4, 0xe500, true);
    expect(machine.run()).toMatchObject({ kind: 'failed', failure: { message: expect.stringMatching(/task gate/) } });
  });
});

it('a machine of 32-bit code names what it is: sysenter, no syscall, no long mode', () => {
  // mov eax, 0x80000001; cpuid; mov eax, edx; marker
  expect(machine32([...MOV_EAX(0x80000001), 0x0f, 0xa2, 0x89, 0xd0, ...MARKER]).run()).toEqual({
    kind: 'marker',
    code: 0x00100000,
  });
});
