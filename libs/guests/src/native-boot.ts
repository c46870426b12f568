import type { Machine } from '@pvtrail/emulator';
import { AppError } from '@pvtrail/primitives';
import { BOOT_PARAMETERS_PHYS } from './boot-parameters.js';
import type { ElfImage } from './elf.js';

const DIRECT_MAP = 0xffff880000000000n;

/** CR0: PG, WP, NE, ET, MP, PE (Intel SDM vol. 3, 2.5). */
const CR0 = 0x80010033n;
/** CR4: PGE, PAE, PSE. */
const CR4 = 0xb0n;
/** EFER: NXE, LMA, LME, SCE. */
const EFER = 0xd01n;

const RSP = 4;
const RDI = 7;

/** Copies the image to guest memory and puts the CPU into the state of docs/adr/001. @throws AppError `image/corrupt` */
export const loadNative64 = (machine: Machine, elf: ElfImage): void => {
  for (const segment of elf.segments) {
    if (segment.phys + segment.memoryBytes > machine.ram.length) {
      throw new AppError(
        'image/corrupt',
        `the image needs guest memory up to ${segment.phys + segment.memoryBytes} bytes; the guest has ${machine.ram.length}`,
      );
    }
    machine.ram.set(segment.bytes, segment.phys);
  }
  const { cpu } = machine;
  cpu.cr0 = CR0;
  cpu.cr4 = CR4;
  cpu.efer = EFER;
  cpu.cr3 = requireSymbol(elf, 'boot_pgd') - imageOffset(elf);
  cpu.setGpr(RSP, requireSymbol(elf, 'boot_stack_top'));
  cpu.setGpr(RDI, DIRECT_MAP + BigInt(BOOT_PARAMETERS_PHYS));
  cpu.rip = elf.entry;
  cpu.rflags = 2n;
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
