import { AppError } from '@pvtrail/primitives';
import type { Bits } from '@pvtrail/pvops';

/** A section of a little-endian ELF file (gABI chapter 4); `bytes` is empty for SHT_NOBITS. */
export interface ElfSection {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly sizeBytes: number;
  readonly alignment: number;
  readonly info: number;
  readonly bytes: Uint8Array;
}

export interface ElfSymbol {
  readonly name: string;
  readonly kind: 'none' | 'object' | 'function' | 'section' | 'file';
  readonly sectionIndex: number;
  readonly value: bigint;
  readonly sizeBytes: number;
}

/** RELA entry, or a REL entry with the addend that lies in its place: `symbol` is resolved, `offset` lies in the section that the relocations belong to. */
export interface ElfRelocation {
  readonly offset: number;
  readonly symbol: ElfSymbol;
  readonly addend: bigint;
}

export interface LoadSegment {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly memoryBytes: number;
  readonly executable: boolean;
}

export interface ElfFile {
  readonly bits: Bits;
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  readonly segments: readonly LoadSegment[];
  /** Relocations by index of the section that they change. */
  readonly relocations: ReadonlyMap<number, readonly ElfRelocation[]>;
}

export const SHT_NOBITS = 8;
const SHT_RELA = 4;
const SHT_REL = 9;
const SHT_SYMTAB = 2;
export const SHF_WRITE = 1;
export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;
const PT_LOAD = 1;

const SYMBOL_KINDS = ['none', 'object', 'function', 'section', 'file'] as const;

/** Where fields lie in the two classes (gABI chapters 4 and 5); those that are as wide as an address are read by `word`. */
const LAYOUTS = {
  32: {
    header: { phoff: 28, shoff: 32, phnum: 44, shnum: 48, shstrndx: 50 },
    segment: { bytes: 32, flags: 24, offset: 4, address: 8, fileBytes: 16, memoryBytes: 20 },
    section: { bytes: 40, flags: 8, address: 12, offset: 16, size: 20, link: 24, info: 28, alignment: 32 },
    symbol: { bytes: 16, value: 4, size: 8, info: 12, section: 14 },
    relocation: { bytes: 8, symbolOf: (view: DataView, at: number): number => view.getUint32(at + 4, true) >>> 8 },
  },
  64: {
    header: { phoff: 32, shoff: 40, phnum: 56, shnum: 60, shstrndx: 62 },
    segment: { bytes: 56, flags: 4, offset: 8, address: 16, fileBytes: 32, memoryBytes: 40 },
    section: { bytes: 64, flags: 8, address: 16, offset: 24, size: 32, link: 40, info: 44, alignment: 48 },
    symbol: { bytes: 24, value: 8, size: 16, info: 4, section: 6 },
    relocation: { bytes: 24, symbolOf: (view: DataView, at: number): number => view.getUint32(at + 12, true) },
  },
} as const;

/** One file with the layout of its class. */
interface Source {
  readonly bits: Bits;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Reads what gcc, as and ld of this build have just written. @throws AppError `elf/malformed` when it is no such file */
export const readElf = (bytes: Uint8Array): ElfFile => {
  const view = viewOf(bytes);
  const bits = bytes[4] === 2 ? 64 : 32;
  if (bytes.length < bits || view.getUint32(0, false) !== 0x7f454c46 || (bytes[4] !== 1 && bytes[4] !== 2)) {
    throw new AppError('elf/malformed', 'not an ELF file of 32 or 64 bit');
  }
  const source = { bits, bytes, view } as const;
  const sections = readSections(source);
  const symbols = readSymbols(source, sections);
  return {
    bits,
    sections,
    symbols,
    segments: readSegments(source),
    relocations: readRelocations(source, sections, symbols),
  };
};

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** An address-sized field. */
const wordAt = (view: DataView, bits: Bits, offset: number): bigint =>
  bits === 64 ? view.getBigUint64(offset, true) : BigInt(view.getUint32(offset, true));

const cString = (bytes: Uint8Array, offset: number): string => {
  const end = bytes.indexOf(0, offset);
  return Buffer.from(bytes.subarray(offset, end < 0 ? bytes.length : end)).toString('latin1');
};

const readSections = ({ bits, bytes, view }: Source): ElfSection[] => {
  const { header, section } = LAYOUTS[bits];
  const word = (at: number): bigint => wordAt(view, bits, at);
  const table = Number(word(header.shoff));
  const headers = Array.from({ length: view.getUint16(header.shnum, true) }, (_, index) => {
    const at = table + index * section.bytes;
    const type = view.getUint32(at + 4, true);
    const sizeBytes = Number(word(at + section.size));
    const offset = Number(word(at + section.offset));
    return {
      index,
      nameOffset: view.getUint32(at, true),
      type,
      flags: Number(word(at + section.flags)),
      address: word(at + section.address),
      sizeBytes,
      alignment: Number(word(at + section.alignment)),
      info: view.getUint32(at + section.info, true),
      bytes: type === SHT_NOBITS ? new Uint8Array(0) : bytes.subarray(offset, offset + sizeBytes),
    };
  });
  const names = headers[view.getUint16(header.shstrndx, true)]?.bytes ?? new Uint8Array(0);
  return headers.map(({ nameOffset, ...rest }) => ({ ...rest, name: cString(names, nameOffset) }));
};

const readSymbols = ({ bits, view: file }: Source, sections: readonly ElfSection[]): ElfSymbol[] => {
  const { header, section, symbol } = LAYOUTS[bits];
  const table = sections.find((candidate) => candidate.type === SHT_SYMTAB);
  if (!table) return [];
  const linkAt = Number(wordAt(file, bits, header.shoff)) + table.index * section.bytes + section.link;
  const names = sections[file.getUint32(linkAt, true)]?.bytes ?? new Uint8Array(0);
  const view = viewOf(table.bytes);
  return Array.from({ length: table.bytes.length / symbol.bytes }, (_, index) => {
    const at = index * symbol.bytes;
    return {
      name: cString(names, view.getUint32(at, true)),
      kind: SYMBOL_KINDS[view.getUint8(at + symbol.info) & 15] ?? 'none',
      sectionIndex: view.getUint16(at + symbol.section, true),
      value: wordAt(view, bits, at + symbol.value),
      sizeBytes: Number(wordAt(view, bits, at + symbol.size)),
    };
  });
};

const readRelocations = (
  { bits }: Source,
  sections: readonly ElfSection[],
  symbols: readonly ElfSymbol[],
): ReadonlyMap<number, readonly ElfRelocation[]> => {
  const { relocation } = LAYOUTS[bits];
  const result = new Map<number, ElfRelocation[]>();
  for (const section of sections) {
    if (section.type !== SHT_RELA && section.type !== SHT_REL) continue;
    const view = viewOf(section.bytes);
    const target = viewOf(sections[section.info]?.bytes ?? new Uint8Array(0));
    const entries = Array.from({ length: section.bytes.length / relocation.bytes }, (_, index) => {
      const at = index * relocation.bytes;
      const symbol = symbols[relocation.symbolOf(view, at)];
      if (!symbol) throw new AppError('elf/malformed', `a relocation in ${section.name} names no symbol`);
      const offset = Number(wordAt(view, bits, at));
      const addend = bits === 64 ? view.getBigInt64(at + 16, true) : BigInt(target.getInt32(offset, true));
      return { offset, symbol, addend };
    });
    result.set(section.info, entries);
  }
  return result;
};

const readSegments = ({ bits, bytes, view }: Source): LoadSegment[] => {
  const { header, segment } = LAYOUTS[bits];
  const word = (at: number): bigint => wordAt(view, bits, at);
  const table = Number(word(header.phoff));
  return Array.from({ length: view.getUint16(header.phnum, true) }, (_, index) => table + index * segment.bytes)
    .filter((at) => view.getUint32(at, true) === PT_LOAD)
    .map((at) => {
      const offset = Number(word(at + segment.offset));
      return {
        address: word(at + segment.address),
        bytes: bytes.subarray(offset, offset + Number(word(at + segment.fileBytes))),
        memoryBytes: Number(word(at + segment.memoryBytes)),
        executable: (view.getUint32(at + segment.flags, true) & 1) !== 0,
      };
    })
    .sort((a, b) => (a.address < b.address ? -1 : 1));
};
