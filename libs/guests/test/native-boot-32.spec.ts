import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { describe, expect, it } from 'vitest';
import { type ElfImage, Guest } from '../src/index.js';

const emulator = loadEmulatorKernel();
const IMAGE_VIRT = 0xc0100000;
const IMAGE_PHYS = 0x100000;
const DIRECTORY = 0x1000;
const POINTERS = 0x2000;
const STACK_TOP = 0x4000;
const DIRECT_MAP_BYTES = 896 << 20;
const LARGE_FLAGS = 0x1e3;

/** push eax; pop ebx; mov eax, ebx; sub eax, 0xc0008fff (1 if eax was what docs/adr/006 says); marker; xor eax, eax; exit; jmp to itself */
const CODE = [0x50, 0x5b, 0x89, 0xd8, 0x2d, 0xff, 0x8f, 0, 0xc0, 0xe7, 0xe0, 0x31, 0xc0, 0xe7, 0xec, 0xeb, 0xfe];

/** A kernel of a few instructions, with the page tables that its own linker would have filled. */
const imageWith = (paging: 'pae' | '2-level'): ElfImage => {
  const bytes = new Uint8Array(STACK_TOP);
  const view = new DataView(bytes.buffer);
  bytes.set(CODE);
  if (paging === 'pae') {
    view.setUint32(POINTERS + 24, (IMAGE_PHYS + DIRECTORY) | 1, true);
    for (let at = 0; at < DIRECT_MAP_BYTES; at += 2 << 20) {
      view.setUint32(DIRECTORY + (at >> 21) * 8, at | LARGE_FLAGS, true);
    }
  } else {
    for (let at = 0; at < DIRECT_MAP_BYTES; at += 4 << 20) {
      view.setUint32(DIRECTORY + (0x300 + (at >> 22)) * 4, at | LARGE_FLAGS, true);
    }
  }
  const symbol = (offset: number): bigint => BigInt(IMAGE_VIRT + offset);
  const symbols: [string, bigint][] = [['boot_stack_top', symbol(STACK_TOP)]];
  if (paging === 'pae') symbols.push(['boot_pmd', symbol(DIRECTORY)], ['boot_pgd', symbol(POINTERS)]);
  else symbols.push(['boot_pgd', symbol(DIRECTORY)]);
  const segment = { virt: BigInt(IMAGE_VIRT), phys: IMAGE_PHYS, bytes, memoryBytes: bytes.length };
  return {
    bits: 32,
    entry: BigInt(IMAGE_VIRT),
    segments: [{ ...segment, executable: true, writable: true }],
    symbols: new Map(symbols),
  };
};

const guestOf = (paging: 'pae' | '2-level', ramBytes = 16 << 20): Guest =>
  new Guest({
    image: imageWith(paging),
    machine: emulator,
    instructionBudget: 1000,
    parameters: {
      ramBytes,
      workload: 0,
      footprint: 0,
      iterations: 1,
      seed: 1,
      userCodeBytes: 0,
      userDataBytes: 0,
      timerPeriod: 0,
      mixIterations: [],
    },
    sink: () => {},
  });

describe('a 32-bit kernel', () => {
  it.each(['pae', '2-level'] as const)('starts behind its own %s page tables, with the parameters in eax', (paging) => {
    const guest = guestOf(paging);
    expect(guest.boot()).toEqual({ records: [], instructions: 5 });
    const { cpu } = guest.machine;
    expect((['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const).map((name) => cpu.selector(name))).toEqual([
      0x60, 0x68, 0x68, 0x68, 0, 0,
    ]);
    expect(cpu.gpr(4)).toBe(BigInt(IMAGE_VIRT + STACK_TOP));
    expect([cpu.cr4, cpu.efer]).toEqual(paging === 'pae' ? [0xb0n, 0x800n] : [0x90n, 0n]);
    expect(guest.proceed()).toEqual({ kind: 'exited', instructions: 7 });
  });

  it('is refused more memory than its direct map reaches', () => {
    expect(() => guestOf('pae', 900 << 20)).toThrow(/at most 939524096 bytes/);
  });
});
