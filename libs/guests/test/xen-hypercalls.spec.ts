import { beforeEach, describe, expect, it } from 'vitest';
import { ARGUMENTS, DIRECT_MAP, FREE, STACK_TOP, XenMachine } from './xen-machine.js';

const Call = {
  setTrapTable: 0,
  mmuUpdate: 1,
  setGdt: 2,
  stackSwitch: 3,
  taskSwitch: 5,
  updateDescriptor: 10,
  multicall: 13,
  updateMapping: 14,
  version: 17,
  iret: 23,
  vcpuOp: 24,
  setSegmentBase: 25,
  mmuExt: 26,
  schedOp: 29,
  callbackOp: 30,
} as const;
const Ext = { pinL1: 0, unpin: 4, newRoot: 5, flush: 6, invalidate: 7, setLdt: 13, newUserRoot: 15 } as const;
const [EINVAL, ENOSYS] = [-22n, -38n];
const PRESENT = 1n;
const BEYOND = 1 << 24;

let guest: XenMachine;
beforeEach(() => {
  guest = new XenMachine();
});

const refused = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    expect(error).toMatchObject({ code: 'guest/failed' });
    return (error as Error).message;
  }
  throw new Error('it was not refused');
};

const ext = (command: number, argument: bigint | number = 0): bigint =>
  guest.call(Call.mmuExt, guest.put([command, argument, 0]), 1);

/** Makes a table of the page at `FREE`. */
const pinFree = (): void => {
  guest.makeReadOnly(FREE);
  ext(Ext.pinL1, guest.frameOf(FREE));
};

describe('hypercalls of a 64-bit Xen guest', () => {
  it('mmu_update changes entries of tables, one after another', () => {
    pinFree();
    const page = BigInt(guest.frameOf(FREE + 0x1000)) << 12n;
    const at = guest.machineAddress(FREE);
    const list = guest.put([at, page | 0x61n, at + 8n, page | 0x63n]);
    expect(guest.call(Call.mmuUpdate, list, 2)).toBe(0n);
    expect([guest.word(FREE), guest.word(FREE + 8)]).toEqual([page | 0x65n, page | 0x67n]);
  });

  it('mmu_update keeps the accessed and dirty bits where it is told to', () => {
    pinFree();
    const page = BigInt(guest.frameOf(FREE + 0x1000)) << 12n;
    const at = guest.machineAddress(FREE);
    guest.call(Call.mmuUpdate, guest.put([at, page | 0x61n]), 1);
    guest.call(Call.mmuUpdate, guest.put([at | 2n, page | PRESENT]), 1);
    expect(guest.word(FREE)).toBe(page | 0x65n);
  });

  it('update_va_mapping changes the entry that maps an address; where there is no table it is refused', () => {
    guest.makeReadOnly(FREE);
    expect(() => guest.put([1], FREE)).toThrow();
    expect(guest.call(Call.updateMapping, 0x7000_0000_0000n, 0, 0)).toBe(EINVAL);
  });

  it('update_va_mapping maps the shared page, which is the hypervisor’s', () => {
    const shared = (BigInt(guest.xen.sharedFrame) << 12n) | 0x63n;
    expect(guest.call(Call.updateMapping, DIRECT_MAP + BigInt(FREE), shared, 0)).toBe(0n);
    guest.put([0x1234], FREE);
    expect(guest.xen.machine.ram[guest.xen.sharedFrame * 4096]).toBe(0x34);
  });

  it('a pinned table is released by unpin', () => {
    pinFree();
    const frame = guest.frameOf(FREE);
    expect(guest.xen.tables.levelOf(frame)).toBe(1);
    ext(Ext.unpin, frame);
    expect(guest.xen.tables.levelOf(frame)).toBe(0);
  });

  it('a new root for the kernel is loaded, one for user mode kept until then, and 0 is none', () => {
    const { kernelRoot } = guest.xen;
    ext(Ext.newUserRoot, kernelRoot);
    expect(guest.xen.userRoot).toBe(kernelRoot);
    ext(Ext.newUserRoot, 0);
    expect(guest.xen.userRoot).toBe(0);
    ext(Ext.newRoot, kernelRoot);
    expect(guest.xen.machine.cpu.cr3).toBe(BigInt(kernelRoot * 4096));
  });

  it.each([
    ['flush', Ext.flush, 0n],
    ['invalidate', Ext.invalidate, DIRECT_MAP],
    ['set_ldt', Ext.setLdt, 0n],
  ])('%s is accepted', (_, command, argument) => {
    expect(ext(command, argument)).toBe(0n);
  });

  it('a multicall stores each result, counts each entry and goes on behind one that is refused', () => {
    const entry = (op: number, ...args: readonly (bigint | number)[]) => [
      op,
      99,
      ...args,
      ...Array(6 - args.length).fill(0),
    ];
    const list = guest.put([
      ...entry(Call.stackSwitch, 0, 0x1000),
      ...entry(Call.setSegmentBase, 9, 0),
      ...entry(Call.version),
    ]);
    expect(guest.call(Call.multicall, list, 3)).toBe(0n);
    const results = [0, 1, 2].map((index) => BigInt.asIntN(64, guest.word(ARGUMENTS + 64 * index + 8)));
    expect(results).toEqual([0n, EINVAL, 0n]);
    expect(guest.xen.kernelStack).toBe(0x1000n);
    expect(guest.traps).toEqual([1, 2, 2, 2]);
  });

  it('fpu_taskswitch sets and clears the bit of CR0', () => {
    const { cpu } = guest.xen.machine;
    guest.call(Call.taskSwitch, 1);
    expect(cpu.cr0 & 8n).toBe(8n);
    guest.call(Call.taskSwitch, 0);
    expect(cpu.cr0 & 8n).toBe(0n);
  });

  it('set_segment_base changes the live bases and the one kept for the other mode', () => {
    const { cpu } = guest.xen.machine;
    for (const which of [0, 1, 2]) expect(guest.call(Call.setSegmentBase, which, 0x1000 * (which + 1))).toBe(0n);
    expect([cpu.fsBase, guest.xen.otherGsBase, cpu.gsBase]).toEqual([0x1000n, 0x2000n, 0x3000n]);
    expect(guest.call(Call.setSegmentBase, 4, 0)).toBe(EINVAL);
  });

  it('a user selector for GS takes its base from the descriptor table, inside of its limit', () => {
    const base = 0x12345678n;
    guest.put([0, 0, 0, ((base & 0xffffffn) << 16n) | ((base >> 24n) << 56n)], FREE);
    guest.makeReadOnly(FREE);
    expect(guest.call(Call.setGdt, guest.put([guest.frameOf(FREE)]), 512)).toBe(0n);
    expect(guest.call(Call.setSegmentBase, 3, 0x1b)).toBe(0n);
    expect(guest.xen.otherGsBase).toBe(base);
    expect(guest.call(Call.setSegmentBase, 3, 0)).toBe(0n);
    expect(guest.xen.otherGsBase).toBe(0n);
    expect(guest.call(Call.setSegmentBase, 3, 0x1003)).toBe(EINVAL);
  });

  it('update_descriptor changes a table of descriptors', () => {
    guest.makeReadOnly(FREE);
    guest.call(Call.setGdt, guest.put([guest.frameOf(FREE)]), 512);
    expect(guest.call(Call.updateDescriptor, guest.machineAddress(FREE) + 8n, 0x77)).toBe(0n);
    expect(guest.word(FREE + 8)).toBe(0x77n);
  });

  it('set_trap_table registers handlers up to address 0', () => {
    const head = (vector: number, flags: number) => vector | (flags << 8);
    guest.call(
      Call.setTrapTable,
      guest.put([head(14, 4), 0x1000, head(6, 0), 0x2000, head(3, 0), 0, head(1, 0), 0x3000]),
    );
    expect([...guest.xen.traps]).toEqual([
      [14, { address: 0x1000n, masksEvents: true }],
      [6, { address: 0x2000n, masksEvents: false }],
    ]);
  });

  it('callback_op registers a callback of a kind that exists', () => {
    expect(guest.call(Call.callbackOp, 0, guest.put([2 | (1 << 16), 0x5000]))).toBe(0n);
    expect(guest.xen.callbacks.get(2)).toEqual({ address: 0x5000n, masksEvents: true });
    expect(guest.call(Call.callbackOp, 0, guest.put([3, 0x5000]))).toBe(EINVAL);
    expect(guest.call(Call.callbackOp, 1, guest.put([2, 0x5000]))).toBe(ENOSYS);
  });

  it('vcpu_op places vcpu_info in a page of the guest', () => {
    expect(guest.xen.vcpuPlacement).toBe(false);
    const frame = guest.frameOf(FREE);
    expect(guest.call(Call.vcpuOp, 10, 0, guest.put([frame, 4096 - 64]))).toBe(0n);
    expect(guest.xen.vcpuInfo).toBe(frame * 4096 + 4096 - 64);
    expect(guest.xen.vcpuPlacement).toBe(true);
  });

  it.each([
    ['another operation', 11, () => [guest.frameOf(FREE), 0], ENOSYS],
    ['a frame that is not the guest’s', 10, () => [BEYOND, 0], EINVAL],
    ['a place across the end of a page', 10, () => [guest.frameOf(FREE), 4096 - 56], EINVAL],
    ['a page of tables', 10, () => [guest.xen.kernelRoot, 0], EINVAL],
  ])('vcpu_op refuses %s', (_, command, placement, result) => {
    expect(guest.call(Call.vcpuOp, command, 0, guest.put(placement()))).toBe(result);
    expect(guest.xen.vcpuPlacement).toBe(false);
  });

  it('sched_op knows block alone', () => {
    expect(guest.call(Call.schedOp, 2)).toBe(ENOSYS);
    expect(guest.xen.eventsMasked).toBe(true);
    expect(guest.call(Call.schedOp, 1)).toBe(0n);
    expect(guest.xen.eventsMasked).toBe(false);
  });

  it.each<[string, () => unknown, string]>([
    ['makes an unknown hypercall', () => guest.call(63), 'the hypercall 63 is unknown'],
    [
      'nests multicalls',
      () => guest.call(Call.multicall, guest.put([13, 0, ARGUMENTS, 1]), 1),
      'a multicall in a multicall',
    ],
    [
      'makes iret part of a multicall',
      () => guest.call(Call.multicall, guest.put([23, 0]), 1),
      'the hypercall 23 is unknown',
    ],
    ['asks for an unknown extended operation', () => ext(12), 'the operation 12 is unknown'],
    [
      'asks for an unknown kind of update',
      () => guest.call(Call.mmuUpdate, guest.put([1, 0]), 1),
      'updates of kind 1 are unknown',
    ],
    [
      'updates an entry of a page that is no table',
      () => guest.call(Call.mmuUpdate, guest.put([guest.machineAddress(FREE), 0]), 1),
      'is no table',
    ],
    [
      'updates an entry beyond its memory',
      () => guest.call(Call.mmuUpdate, guest.put([1n << 60n, 0]), 1),
      'is no table',
    ],
    [
      'preserves bits beyond its memory',
      () => guest.call(Call.mmuUpdate, guest.put([(1n << 60n) | 2n, 0]), 1),
      'is no table',
    ],
    ['loads a root that is none', () => ext(Ext.newRoot, guest.frameOf(FREE)), 'is no root'],
    ['loads no root for its kernel', () => ext(Ext.newRoot, 0), 'frame 0x0 is no root'],
    ['gives user mode a root that is none', () => ext(Ext.newUserRoot, guest.frameOf(FREE)), 'is no root'],
    ['gives user mode a root beyond its memory', () => ext(Ext.newUserRoot, BEYOND), 'is no root'],
    ['pins a writable page', () => ext(Ext.pinL1, guest.frameOf(FREE)), 'of level 1 is writable'],
    ['pins a frame that is not its own', () => ext(Ext.pinL1, BEYOND), "is not the guest's"],
    ['unpins what is not pinned', () => ext(Ext.unpin, guest.frameOf(FREE)), 'is not pinned'],
    [
      'maps a frame that is not its own',
      () => guest.call(14, DIRECT_MAP, (BigInt(BEYOND) << 12n) | 1n, 0),
      "is not the guest's",
    ],
    [
      'maps a table writable',
      () => guest.call(14, DIRECT_MAP, (BigInt(guest.xen.kernelRoot) << 12n) | 3n, 0),
      'makes a table writable',
    ],
    [
      'gives descriptors in a writable page',
      () => guest.call(Call.setGdt, guest.put([guest.frameOf(FREE)]), 1),
      'is writable',
    ],
    [
      'changes descriptors in a page without',
      () => guest.call(10, guest.machineAddress(FREE), 1),
      'holds no descriptors',
    ],
    ['changes descriptors beyond its memory', () => guest.call(10, 1n << 60n, 1), 'holds no descriptors'],
  ])('a guest that %s is stopped', (_, action, message) => {
    const said = refused(action);
    expect(said).toMatch(/^the hypervisor refuses: /);
    expect(said).toContain(message);
  });
});

describe('a store to a pinned table', () => {
  const [RAX, RCX, RDI] = [0, 1, 7];
  const CODE = FREE + 0x2000;
  /** rep stosq, in little endian. */
  const REP_STOS = 0xab48f3n;

  /** Two entries of the pinned table at once; the first write faults. */
  const store = (value: bigint): void => {
    const { cpu } = guest.xen.machine;
    pinFree();
    cpu.rip = guest.put([REP_STOS], CODE);
    cpu.setGpr(RAX, value);
    cpu.setGpr(RCX, 2n);
    cpu.setGpr(RDI, DIRECT_MAP + BigInt(FREE));
    guest.xen.exception(14, 3, DIRECT_MAP + BigInt(FREE));
  };

  it('is emulated, every entry that it changes is validated, and the table stays read-only', () => {
    const entry = (BigInt(guest.frameOf(FREE + 0x1000)) << 12n) | 0x61n;
    store(entry);
    expect([0, 8, 16].map((offset) => guest.word(FREE + offset))).toEqual([entry | 4n, entry | 4n, 0n]);
    expect(guest.xen.machine.cpu.rip).toBe(DIRECT_MAP + BigInt(CODE) + 3n);
    expect(guest.traps.at(-1)).toBe(3);
    expect(() => guest.put([0], FREE)).toThrow();
  });

  it('that would map a frame of another is refused', () => {
    expect(refused(() => store((BigInt(BEYOND) << 12n) | 1n))).toContain("is not the guest's");
  });
});

describe('entries and returns of a 64-bit Xen guest', () => {
  const RSP = 4;
  const USER_CS = 0x33;
  const frame = (cs: number, flags = 0x200): bigint =>
    guest.put([0xa, 0x11, 0xc, 0, 0x401000, cs, flags, 0x7000, 0x2b], STACK_TOP - 0x100);

  it('iret returns to the frame’s mode, with events as its interrupt flag says', () => {
    const { cpu } = guest.xen.machine;
    ext(Ext.newUserRoot, guest.xen.kernelRoot);
    cpu.setGpr(RSP, frame(USER_CS));
    cpu.setGpr(0, 23n);
    guest.xen.instruction({ kind: 'system-call', next: 0n });
    expect([cpu.cpl, cpu.rip, cpu.gpr(RSP), cpu.gpr(0), cpu.gpr(11), cpu.gpr(1)]).toEqual([
      3,
      0x401000n,
      0x7000n,
      0xan,
      0x11n,
      0xcn,
    ]);
    expect(guest.xen.eventsMasked).toBe(false);
  });

  it('an exception of user mode goes to the kernel stack, with error code, below the aligned top', () => {
    const { cpu } = guest.xen.machine;
    guest.call(Call.setTrapTable, guest.put([14 | (4 << 8), 0x81000100, 0, 0]));
    guest.call(Call.stackSwitch, 0x18, DIRECT_MAP + BigInt(STACK_TOP) + 8n);
    ext(Ext.newUserRoot, guest.xen.kernelRoot);
    cpu.setGpr(RSP, frame(USER_CS));
    cpu.setGpr(0, 23n);
    guest.xen.instruction({ kind: 'system-call', next: 0n });
    guest.xen.exception(14, 6, 0xdead000n);
    expect([cpu.cpl, cpu.rip, cpu.gpr(RSP)]).toEqual([0, 0x81000100n, DIRECT_MAP + BigInt(STACK_TOP) - 64n]);
    const words = Array.from({ length: 8 }, (_, index) => guest.word(STACK_TOP - 64 + 8 * index));
    expect(words).toEqual([0xcn, 0x11n, 6n, 0x401000n, 0x33n, 0x202n, 0x7000n, 0x2bn]);
    expect(guest.xen.eventsMasked).toBe(true);
    expect(guest.traps.at(-1)).toBe(5);
  });

  it.each<[string, () => unknown, string]>([
    ['has no handler for an exception', () => guest.xen.exception(6, 0, 0n), 'no handler for exception 6'],
    [
      'has a stack that cannot be written',
      () => {
        guest.call(Call.setTrapTable, guest.put([13, 0x81000100, 0, 0]));
        guest.xen.machine.cpu.setGpr(RSP, 0x1000n);
        guest.xen.exception(13, 0, 0n);
      },
      'no frame can be written at 0xfc0',
    ],
    [
      'returns to user mode without tables for it',
      () => {
        guest.xen.machine.cpu.setGpr(RSP, frame(USER_CS));
        guest.xen.machine.cpu.setGpr(0, 23n);
        guest.xen.instruction({ kind: 'system-call', next: 0n });
      },
      'user mode has no root',
    ],
  ])('a guest that %s is stopped', (_, action, message) => {
    expect(refused(action)).toContain(message);
  });
});
