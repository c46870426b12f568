import { Machine, type MachineExit, type MachineShape } from '../src/index.js';
import { loadEmulatorKernel } from '../src/node.js';

const emulator = loadEmulatorKernel();

export const CODE_AT = 0x10000;
export const STACK_TOP = 0x20000;
/** A stack of ring 0 that is not in use: what TSS.RSP0 names. */
export const STACK_0_TOP = 0x28000;
export const GDT = 0x4000;
export const IDT = 0x5000;
export const TSS = 0x6000;
const [PML4, PDPT, PD] = [0x1000, 0x2000, 0x3000] as const;
const HANDLERS = 0x18000;
const HANDLER_BYTES = 16;
const VECTORS = 48;
const INT3 = 0xcc;
const PRESENT_WRITABLE_USER = 7n;
const LARGE = 0x80n;

/** The selectors of a kernel of the period: `sysret` takes 0x33 and 0x2b from 0x23 in STAR. */
export const SELECTORS = { kernelCode: 0x10, kernelData: 0x18, userData: 0x2b, userCode: 0x33, tss: 0x40 } as const;
/** 64-bit code is 0x20…, data 0x00cf…; access bytes 9b and 93 for ring 0, fb and f3 for ring 3 (SDM vol. 3A, 3.4.5). */
const DESCRIPTORS: readonly bigint[] = [
  0n,
  0n,
  0x00af9b000000ffffn,
  0x00cf93000000ffffn,
  0x00cffb000000ffffn,
  0x00cff3000000ffffn,
  0x00affb000000ffffn,
  0n,
  BigInt(0x0000890000000067) | (BigInt(TSS) << 16n),
  0n,
];

/** Marker with the code in eax (docs/adr/001). */
export const MARKER = [0xe7, 0xe0] as const;

/** A machine that stops at exceptions instead of entering the handler. */
export const FAULTS: Partial<MachineShape> = { exceptionsExit: true };
export const fault = (vector: number, errorCode = 0): MachineExit => ({
  kind: 'exception',
  vector,
  errorCode,
  address: 0n,
});

/** What a handler reports as its marker, so that a test sees which one was entered. */
export const handlerCode = (vector: number): number => 0x1000 + vector;

const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
export const movEax = (value: number): number[] => [0xb8, ...u32(value)];
export const movEcx = (value: number): number[] => [0xb9, ...u32(value)];
export const movEdx = (value: number): number[] => [0xba, ...u32(value)];

/**
 * A machine in 64-bit kernel mode at some code, over an identity mapping of its first 2 MiB that both rings may use. It has a GDT, a
 * TSS with a stack for ring 0, and a handler for each vector from 0 to 47 that reports `handlerCode`; interrupts are off.
 */
export const machine64 = (code: readonly number[], shape: Partial<MachineShape> = {}): Machine => {
  const machine = new Machine({
    kernel: emulator,
    ramBytes: 4 << 20,
    bits: 64,
    record: true,
    instructionBudget: 1_000_000,
    sink: () => {},
    ...shape,
  });
  const { cpu, ram } = machine;
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  view.setBigUint64(PML4, BigInt(PDPT) | PRESENT_WRITABLE_USER, true);
  view.setBigUint64(PDPT, BigInt(PD) | PRESENT_WRITABLE_USER, true);
  view.setBigUint64(PD, PRESENT_WRITABLE_USER | LARGE, true);
  for (const [index, descriptor] of DESCRIPTORS.entries()) view.setBigUint64(GDT + 8 * index, descriptor, true);
  view.setBigUint64(TSS + 4, BigInt(STACK_0_TOP), true);
  ram.fill(INT3, CODE_AT, HANDLERS + HANDLER_BYTES * VECTORS);
  for (let vector = 0; vector < VECTORS; vector++) writeHandler(machine, view, vector);
  machine.writeText(CODE_AT, Uint8Array.from(code));
  cpu.cr0 = 0x80010033n;
  cpu.cr4 = 0xb0n;
  cpu.efer = 0xd01n;
  cpu.cr3 = BigInt(PML4);
  cpu.gdtr = { base: BigInt(GDT), limit: 8 * DESCRIPTORS.length - 1 };
  cpu.idtr = { base: BigInt(IDT), limit: 16 * VECTORS - 1 };
  cpu.tr = { base: BigInt(TSS), limit: 0x67 };
  cpu.setSelector('cs', SELECTORS.kernelCode);
  cpu.setSelector('ss', SELECTORS.kernelData);
  cpu.setSelector('tr', SELECTORS.tss);
  cpu.setGpr(4, BigInt(STACK_TOP));
  cpu.rip = BigInt(CODE_AT);
  return machine;
};

/** The same in ring 3. */
export const userMachine64 = (code: readonly number[], shape: Partial<MachineShape> = {}): Machine => {
  const machine = machine64(code, shape);
  machine.cpu.cpl = 3;
  machine.cpu.setSelector('cs', SELECTORS.userCode);
  machine.cpu.setSelector('ss', SELECTORS.userData);
  return machine;
};

/** An interrupt gate; breakpoints (3) may be raised by ring 3 too. */
const writeHandler = (machine: Machine, view: DataView, vector: number): void => {
  const at = HANDLERS + HANDLER_BYTES * vector;
  machine.writeText(at, Uint8Array.from([...movEax(handlerCode(vector)), ...MARKER]));
  const access = vector === 3 ? 0xee00n : 0x8e00n;
  const low =
    BigInt(at & 0xffff) | (BigInt(SELECTORS.kernelCode) << 16n) | (access << 32n) | (BigInt(at >>> 16) << 48n);
  view.setBigUint64(IDT + 16 * vector, low, true);
};

/** 64-bit words from an address on. */
export const wordsAt = ({ ram }: Machine, at: bigint, count: number): bigint[] => {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  return Array.from({ length: count }, (_, i) => view.getBigUint64(Number(at) + 8 * i, true));
};
