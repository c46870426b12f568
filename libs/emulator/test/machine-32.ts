import { Machine, type MachineShape, type RawSink } from '../src/index.js';
import { loadEmulatorKernel } from '../src/node.js';

const emulator = loadEmulatorKernel();

export const CODE_AT = 0x10000;
export const STACK_TOP = 0x20000;
const DIRECTORY = 0x1000;
const DIRECTORY_2 = 0x2000;
const POINTERS = 0x3000;
const LARGE_FOR_ALL = 0x87;
const INT3 = 0xcc;
const CR0_PG_WP_NE_ET_MP_PE = 0x80010033n;
const CR4_PGE_PSE = 0x90n;
const CR4_PAE = 0x20n;
const EFER_NXE = 0x800n;

export type Paging = 'pae' | 'two-level';

/** Marker with the code in eax (docs/adr/001). */
export const MARKER = [0xe7, 0xe0] as const;

/** Where `ringMachine` has its handlers and tables. */
export const HANDLERS_AT = 0x14000;
export const USER_STACK_TOP = 0x40000;
export const TABLES = { gdt: 0x4000, idt: 0x5000, tss: 0x6000, perCpu: 0x7000 } as const;

/**
 * A machine in 32-bit kernel mode at some code, over an identity mapping of its first 2 MiB by one large page (4 MiB with 2-level
 * tables) for both modes, the same at 0xc0000000, without any descriptor table.
 */
export const machine32 = (
  code: readonly number[],
  paging: Paging = 'pae',
  shape: Partial<MachineShape> = {},
  sink: RawSink = () => {},
): Machine => {
  const machine = new Machine({
    kernel: emulator,
    ramBytes: 4 << 20,
    bits: 32,
    record: true,
    instructionBudget: 1_000_000,
    sink,
    ...shape,
  });
  const { cpu, ram } = machine;
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  if (paging === 'pae') {
    view.setUint32(POINTERS, DIRECTORY | 1, true);
    view.setUint32(POINTERS + 24, DIRECTORY_2 | 1, true);
    view.setUint32(DIRECTORY, LARGE_FOR_ALL, true);
    view.setUint32(DIRECTORY_2, LARGE_FOR_ALL, true);
  } else {
    view.setUint32(DIRECTORY, LARGE_FOR_ALL, true);
    view.setUint32(DIRECTORY + 0x300 * 4, LARGE_FOR_ALL, true);
  }
  ram.fill(INT3, CODE_AT, STACK_TOP - 0x1000);
  machine.writeText(CODE_AT, Uint8Array.from(code));
  cpu.cr0 = CR0_PG_WP_NE_ET_MP_PE;
  cpu.cr4 = paging === 'pae' ? CR4_PGE_PSE | CR4_PAE : CR4_PGE_PSE;
  cpu.efer = paging === 'pae' ? EFER_NXE : 0n;
  cpu.cr3 = BigInt(paging === 'pae' ? POINTERS : DIRECTORY);
  cpu.setSelector('cs', 0x60);
  cpu.setSelector('ss', 0x68);
  cpu.setGpr(4, BigInt(STACK_TOP));
  cpu.rip = BigInt(CODE_AT);
  return machine;
};

/** What a guest's handler does, and the privilege level of its gate: 3 when absent. */
export interface Handler {
  readonly vector: number;
  readonly code: readonly number[];
  readonly privilege?: 0 | 3;
}

export interface RingOptions {
  readonly cpl: 0 | 3;
  /** Whether the descriptors have been used before. */
  readonly accessed?: boolean;
  readonly shape?: Partial<MachineShape>;
  readonly sink?: RawSink;
}

const FLAT = 0xfffff;
const CODE = 0x9a;
const DATA = 0x92;
const NOT_PRESENT = 0x12;
const RING_3 = 0x60;
const TSS_BYTES = 104;
/** Selector: base, limit, access byte, whether the limit counts pages (docs/adr/006; 0x90 and 0x98 are the tests' own). */
const DESCRIPTORS: readonly (readonly [number, number, number, number, boolean])[] = [
  [0x60, 0, FLAT, CODE, true],
  [0x68, 0, FLAT, DATA, true],
  [0x70, 0, FLAT, CODE | RING_3, true],
  [0x78, 0, FLAT, DATA | RING_3, true],
  [0x80, TABLES.tss, TSS_BYTES - 1, 0x8b, false],
  [0x90, TABLES.perCpu, 0xff, DATA, false],
  [0x98, 0, FLAT, NOT_PRESENT, true],
  [0xd8, TABLES.perCpu, FLAT, DATA, true],
];

const writeTables = (view: DataView, accessed: boolean, handlers: readonly Handler[]): void => {
  for (const [selector, base, limit, access, pages] of DESCRIPTORS) {
    const at = TABLES.gdt + selector;
    view.setUint32(at, (limit & 0xffff) | (base << 16), true);
    const high = (base & 0xff000000) | (limit & 0xf0000) | (pages ? 0xc00000 : 0x400000);
    view.setUint32(at + 4, high | ((access | (accessed ? 1 : 0)) << 8) | ((base >> 16) & 0xff), true);
  }
  for (const [index, { vector, privilege = 3 }] of handlers.entries()) {
    const offset = handlerAt(index);
    view.setUint32(TABLES.idt + 8 * vector, (offset & 0xffff) | (0x60 << 16), true);
    view.setUint32(TABLES.idt + 8 * vector + 4, (offset & 0xffff0000) | 0x8e00 | (privilege << 13), true);
  }
  view.setUint32(TABLES.tss + 4, STACK_TOP, true);
  view.setUint32(TABLES.tss + 8, 0x68, true);
};

const handlerAt = (index: number): number => HANDLERS_AT + 0x40 * (index + 1);

/** A machine with the descriptor tables of docs/adr/006 and handlers, in kernel or user mode at some code, interrupts off. */
export const ringMachine = (
  code: readonly number[],
  { cpl, accessed = true, shape = {}, sink }: RingOptions,
  handlers: readonly Handler[] = [],
): Machine => {
  const machine = machine32(code, 'pae', shape, sink);
  const { cpu, ram } = machine;
  writeTables(new DataView(ram.buffer, ram.byteOffset, ram.byteLength), accessed, handlers);
  for (const [index, handler] of handlers.entries()) {
    machine.writeText(handlerAt(index), Uint8Array.from(handler.code));
  }
  cpu.gdtr = { base: BigInt(TABLES.gdt), limit: 0xff };
  cpu.idtr = { base: BigInt(TABLES.idt), limit: 0x7ff };
  cpu.tr = { base: BigInt(TABLES.tss), limit: TSS_BYTES - 1 };
  cpu.setSelector('tr', 0x80);
  if (cpl === 3) {
    cpu.cpl = 3;
    cpu.setSelector('cs', 0x73);
    cpu.setSelector('ss', 0x7b);
    cpu.setGpr(4, BigInt(USER_STACK_TOP));
  }
  return machine;
};
