import { Machine, type MachineShape } from '../src/index.js';
import { loadEmulatorKernel } from '../src/node.js';

const emulator = loadEmulatorKernel();

export const CODE_AT = 0x10000;
export const STACK_TOP = 0x20000;
const DIRECTORY = 0x1000;
const DIRECTORY_2 = 0x2000;
const POINTERS = 0x3000;
const PRESENT_WRITABLE_LARGE = 0x83;
const INT3 = 0xcc;
const CR0_PG_WP_NE_ET_MP_PE = 0x80010033n;
const CR4_PGE_PSE = 0x90n;
const CR4_PAE = 0x20n;
const EFER_NXE = 0x800n;

export type Paging = 'pae' | 'two-level';

/** Marker with the code in eax (docs/adr/001). */
export const MARKER = [0xe7, 0xe0] as const;

/**
 * A machine in 32-bit kernel mode at some code, over an identity mapping of its first 2 MiB by one large page (4 MiB with 2-level
 * tables), the same at 0xc0000000, without any descriptor table.
 */
export const machine32 = (
  code: readonly number[],
  paging: Paging = 'pae',
  shape: Partial<MachineShape> = {},
): Machine => {
  const machine = new Machine({
    kernel: emulator,
    ramBytes: 4 << 20,
    bits: 32,
    record: true,
    instructionBudget: 1_000_000,
    sink: () => {},
    ...shape,
  });
  const { cpu, ram } = machine;
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  if (paging === 'pae') {
    view.setUint32(POINTERS, DIRECTORY | 1, true);
    view.setUint32(POINTERS + 24, DIRECTORY_2 | 1, true);
    view.setUint32(DIRECTORY, PRESENT_WRITABLE_LARGE, true);
    view.setUint32(DIRECTORY_2, PRESENT_WRITABLE_LARGE, true);
  } else {
    view.setUint32(DIRECTORY, PRESENT_WRITABLE_LARGE, true);
    view.setUint32(DIRECTORY + 0x300 * 4, PRESENT_WRITABLE_LARGE, true);
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
