import { describe, expect, it } from 'vitest';
import { Machine, type MachineExit } from '../src/index.js';
import { loadEmulatorKernel } from '../src/node.js';

const emulator = loadEmulatorKernel();
const CODE_AT = 0x10000;
const STACK_TOP = 0x20000;
const [PML4, PDPT, PD] = [0x1000, 0x2000, 0x3000] as const;
const PRESENT_WRITABLE = 3n;
const LARGE = 0x80n;
const INT3 = 0xcc;

/** A machine in 64-bit kernel mode over an identity mapping of its first 2 MiB, without any descriptor table, at some code. */
const machineAt = (code: readonly number[], instructionBudget = 1_000_000): Machine => {
  const machine = new Machine({
    kernel: emulator,
    ramBytes: 4 << 20,
    bits: 64,
    record: true,
    instructionBudget,
    sink: () => {},
  });
  const { cpu, ram } = machine;
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  view.setBigUint64(PML4, BigInt(PDPT) | PRESENT_WRITABLE, true);
  view.setBigUint64(PDPT, BigInt(PD) | PRESENT_WRITABLE, true);
  view.setBigUint64(PD, PRESENT_WRITABLE | LARGE, true);
  ram.fill(INT3, CODE_AT, STACK_TOP - 0x1000);
  machine.writeText(CODE_AT, Uint8Array.from(code));
  cpu.cr0 = 0x80010033n;
  cpu.cr4 = 0xb0n;
  cpu.efer = 0xd01n;
  cpu.cr3 = BigInt(PML4);
  cpu.setSelector('cs', 0x10);
  cpu.setSelector('ss', 0x18);
  cpu.setGpr(4, BigInt(STACK_TOP));
  cpu.rip = BigInt(CODE_AT);
  return machine;
};

const failureOf = (exit: MachineExit) => {
  if (exit.kind !== 'failed') throw new Error(`the guest ended as ${exit.kind}`);
  return exit.failure;
};

const MOV_EAX_7 = [0xb8, 7, 0, 0, 0];

describe('a guest', () => {
  it('that faults where no handler can be entered ends in a triple fault, with its state', () => {
    const failure = failureOf(machineAt([...MOV_EAX_7, 0x0f, 0x0b]).run());
    expect(failure.code).toBe('guest/failed');
    expect(failure.message).toMatch(/triple fault/);
    expect(failure.message).toMatch(
      /last exception was #UD, an unknown instruction, at 0x0000000000010005, at the bytes 0f0bcc/,
    );
    expect(failure.registers[0]).toBe(7n);
    expect(failure.rip).toBe(BigInt(CODE_AT + MOV_EAX_7.length));
    expect([...failure.bytes.subarray(0, 2)]).toEqual([0x0f, 0x0b]);
    expect(failure.lastBlocks.map(({ virt }) => virt)).toEqual([BigInt(CODE_AT)]);
  });

  it('that calls through nothing ends in a triple fault while it fetches', () => {
    const callRax = [0x48, 0xb8, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xd0];
    const failure = failureOf(machineAt(callRax).run());
    expect(failure).toMatchObject({ code: 'guest/failed', message: expect.stringMatching(/triple fault/) });
  });

  it('that halts with nothing to wake it is deadlocked', () => {
    expect(failureOf(machineAt([0xf4]).run()).code).toBe('guest/deadlock');
  });

  it('that goes in circles uses up its budget', () => {
    const failure = failureOf(machineAt([0xeb, 0xfe]).run());
    expect(failure.code).toBe('guest/budget-exhausted');
    expect(failure.lastBlocks).toHaveLength(16);
  });

  it('that stops beyond its budget has used it up, even when nothing made it look before', () => {
    const marker = [0xb8, 1, 0, 0, 0, 0xe7, 0xe0];
    expect(machineAt(marker, 2).run()).toEqual({ kind: 'marker', code: 1 });
    expect(failureOf(machineAt(marker, 1).run()).code).toBe('guest/budget-exhausted');
  });

  it('that uses memory it does not have ends, naming the address', () => {
    const machine = machineAt([0xa1, 0, 0, 0, 0, 1, 0, 0, 0]);
    const view = new DataView(machine.ram.buffer, machine.ram.byteOffset);
    view.setBigUint64(PDPT + 32, BigInt(64 << 20) | PRESENT_WRITABLE, true);
    const failure = failureOf(machine.run());
    expect(failure.message).toMatch(/guest-physical address 0x4000000 lies beyond/);
  });
});

describe('a loop', () => {
  it('goes on with the registers that a rep string instruction in it has changed', () => {
    // mov esi, CODE_AT; mov ebx, 3; jmp 1f; 1: mov edx, esi; mov ecx, 1; rep lodsb; dec ebx; jnz 1b; mov eax, edx; marker
    const head = [0xbe, 0, 0, 1, 0, 0xbb, 3, 0, 0, 0, 0xeb, 0];
    const body = [0x89, 0xf2, 0xb9, 1, 0, 0, 0, 0xf3, 0xac, 0xff, 0xcb, 0x75, 0xf3];
    const exit = machineAt([...head, ...body, 0x89, 0xd0, 0xe7, 0xe0]).run();
    expect(exit).toEqual({ kind: 'marker', code: CODE_AT + 2 });
  });
});

describe('text that changes', () => {
  it('is executed as it is now, also when the running block writes over what follows in itself', () => {
    // mov byte [rip+1], 9 ; mov eax, 7 → 9 ; marker eax
    const code = [0xc6, 0x05, 1, 0, 0, 0, 9, ...MOV_EAX_7, 0xe7, 0xe0];
    expect(machineAt(code).run()).toEqual({ kind: 'marker', code: 9 });
  });

  it('is executed as it is now after an edit from outside', () => {
    const machine = machineAt([...MOV_EAX_7, 0xe7, 0xe0]);
    expect(machine.run()).toEqual({ kind: 'marker', code: 7 });
    machine.writeText(CODE_AT + 1, Uint8Array.of(8));
    machine.cpu.rip = BigInt(CODE_AT);
    expect(machine.run()).toEqual({ kind: 'marker', code: 8 });
  });
});
