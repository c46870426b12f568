import type { Bits } from '@pvtrail/pvops';

/** What the tools and the layout need to know about a bitness. */
export interface Machine {
  readonly bits: Bits;
  readonly wordBytes: 4 | 8;
  readonly assemblerFlag: string;
  readonly linkerEmulation: string;
  readonly outputFormat: string;
  readonly outputArchitecture: string;
  /** Where kernel text begins, and virtual − physical address of the image (docs/adr/001, 006). */
  readonly kernelBase: bigint;
  readonly kernelMap: bigint;
  readonly userBase: bigint;
  /** Code generation of kernel C beyond what both bitnesses share, as definitions §1 lists it. */
  readonly kernelFlags: readonly string[];
  readonly userFlags: readonly string[];
}

export const MACHINES: Readonly<Record<Bits, Machine>> = {
  64: {
    bits: 64,
    wordBytes: 8,
    assemblerFlag: '--64',
    linkerEmulation: 'elf_x86_64',
    outputFormat: 'elf64-x86-64',
    outputArchitecture: 'i386:x86-64',
    kernelBase: 0xffffffff81000000n,
    kernelMap: 0xffffffff80000000n,
    userBase: 0x400000n,
    kernelFlags: ['-mcmodel=kernel', '-mno-red-zone', '-mpreferred-stack-boundary=3'],
    userFlags: [],
  },
  32: {
    bits: 32,
    wordBytes: 4,
    assemblerFlag: '--32',
    linkerEmulation: 'elf_i386',
    outputFormat: 'elf32-i386',
    outputArchitecture: 'i386',
    kernelBase: 0xc0100000n,
    kernelMap: 0xc0000000n,
    userBase: 0x08048000n,
    kernelFlags: ['-m32', '-mregparm=3', '-mpreferred-stack-boundary=2'],
    userFlags: ['-m32', '-DBITS64=0'],
  },
};
