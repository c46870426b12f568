import type { Machine } from '@pvtrail/emulator';
import { AppError } from '@pvtrail/primitives';
import { BOOT_PARAMETERS_PHYS } from './boot-parameters.js';
import type { ElfImage } from './elf.js';

const DIRECT_MAP_64 = 0xffff880000000000n;
const DIRECT_MAP_32 = 0xc0000000n;
/** What the 32-bit kernel's direct map reaches. */
const MAX_RAM_BYTES_32 = 896 << 20;

/** CR0: PG, WP, NE, ET, MP, PE (Intel SDM vol. 3, 2.5). */
const CR0 = 0x80010033n;
/** CR4: PGE, PSE; PAE beside them where the page tables are of that kind. */
const CR4 = 0x90n;
const CR4_PAE = 0x20n;
/** EFER: NXE, LMA, LME, SCE. */
const EFER = 0xd01n;
const EFER_NXE = 0x800n;
/** Flat code and data of ring 0 (docs/adr/006). */
const KERNEL_CODE_32 = 0x60;
const KERNEL_DATA_32 = 0x68;

const RAX = 0;
const RSP = 4;
const RDI = 7;

/** Copies the image to guest memory and puts the CPU into the state of docs/adr/001 (64 bit) or 006 (32 bit). @throws AppError `image/corrupt` */
export const loadNative = (machine: Machine, elf: ElfImage): void => {
  copySegments(machine, elf);
  const { cpu } = machine;
  cpu.cr0 = CR0;
  if (elf.bits === 64) enterLongMode(machine);
  else enterProtectedMode(machine, elf);
  cpu.cr3 = requireSymbol(elf, 'boot_pgd') - imageOffset(elf);
  cpu.setGpr(RSP, requireSymbol(elf, 'boot_stack_top'));
  cpu.rip = elf.entry;
  cpu.rflags = 2n;
};

const enterLongMode = ({ cpu }: Machine): void => {
  cpu.cr4 = CR4 | CR4_PAE;
  cpu.efer = EFER;
  cpu.setGpr(RDI, DIRECT_MAP_64 + BigInt(BOOT_PARAMETERS_PHYS));
};

/** PAE tables have a directory behind their pointers. fs and gs stay null. */
const enterProtectedMode = ({ cpu, ram }: Machine, elf: ElfImage): void => {
  if (ram.length > MAX_RAM_BYTES_32) {
    throw new AppError(
      'image/corrupt',
      `a 32-bit guest has at most ${MAX_RAM_BYTES_32} bytes of memory, not ${ram.length}`,
    );
  }
  const pae = elf.symbols.has('boot_pmd');
  cpu.cr4 = pae ? CR4 | CR4_PAE : CR4;
  cpu.efer = pae ? EFER_NXE : 0n;
  cpu.setSelector('cs', KERNEL_CODE_32);
  for (const segment of ['ss', 'ds', 'es'] as const) cpu.setSelector(segment, KERNEL_DATA_32);
  cpu.setGpr(RAX, DIRECT_MAP_32 + BigInt(BOOT_PARAMETERS_PHYS));
};

const copySegments = (machine: Machine, elf: ElfImage): void => {
  for (const segment of elf.segments) {
    if (segment.phys + segment.memoryBytes > machine.ram.length) {
      throw new AppError(
        'image/corrupt',
        `the image needs guest memory up to ${segment.phys + segment.memoryBytes} bytes; the guest has ${machine.ram.length}`,
      );
    }
    machine.ram.set(segment.bytes, segment.phys);
  }
};

export const requireSymbol = (elf: ElfImage, name: string): bigint => {
  const address = elf.symbols.get(name);
  if (address === undefined) throw new AppError('image/corrupt', `the guest image has no symbol '${name}'`);
  return address;
};

/** Virtual minus physical address of the kernel image: the same for all segments. */
const imageOffset = (elf: ElfImage): bigint => {
  const [first] = elf.segments;
  if (!first) throw new AppError('image/corrupt', 'the guest image has no segments');
  return first.virt - BigInt(first.phys);
};
