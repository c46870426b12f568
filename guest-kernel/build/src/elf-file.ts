import { AppError } from '@pvtrail/primitives';

/** A section of a 64-bit little-endian ELF file (gABI chapter 4); `bytes` is empty for SHT_NOBITS. */
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

/** RELA entry: `symbol` is resolved, `offset` lies in the section that the relocations belong to. */
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
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  readonly segments: readonly LoadSegment[];
  /** Relocations by index of the section that they change. */
  readonly relocations: ReadonlyMap<number, readonly ElfRelocation[]>;
}

export const SHT_NOBITS = 8;
const SHT_RELA = 4;
const SHT_SYMTAB = 2;
export const SHF_WRITE = 1;
export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;
const PT_LOAD = 1;

const SYMBOL_KINDS = ['none', 'object', 'function', 'section', 'file'] as const;

/** Reads what gcc, as and ld of this build have just written. @throws AppError `elf/malformed` when it is no such file */
export const readElf = (bytes: Uint8Array): ElfFile => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 64 || view.getUint32(0, false) !== 0x7f454c46 || bytes[4] !== 2) {
    throw new AppError('elf/malformed', 'not a 64-bit ELF file');
  }
  const sections = readSections(bytes, view);
  const symbols = readSymbols(sections, view);
  return { sections, symbols, segments: readSegments(bytes, view), relocations: readRelocations(sections, symbols) };
};

const at64 = (view: DataView, offset: number): number => Number(view.getBigUint64(offset, true));

const cString = (bytes: Uint8Array, offset: number): string => {
  const end = bytes.indexOf(0, offset);
  return Buffer.from(bytes.subarray(offset, end < 0 ? bytes.length : end)).toString('latin1');
};

const readSections = (bytes: Uint8Array, view: DataView): ElfSection[] => {
  const table = at64(view, 40);
  const count = view.getUint16(60, true);
  const headers = Array.from({ length: count }, (_, index) => {
    const at = table + index * 64;
    const type = view.getUint32(at + 4, true);
    const sizeBytes = at64(view, at + 32);
    const offset = at64(view, at + 24);
    return {
      index,
      nameOffset: view.getUint32(at, true),
      type,
      flags: at64(view, at + 8),
      address: view.getBigUint64(at + 16, true),
      sizeBytes,
      alignment: at64(view, at + 48),
      info: view.getUint32(at + 44, true),
      bytes: type === SHT_NOBITS ? new Uint8Array(0) : bytes.subarray(offset, offset + sizeBytes),
    };
  });
  const names = headers[view.getUint16(62, true)]?.bytes ?? new Uint8Array(0);
  return headers.map(({ nameOffset, ...header }) => ({ ...header, name: cString(names, nameOffset) }));
};

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const readSymbols = (sections: readonly ElfSection[], file: DataView): ElfSymbol[] => {
  const table = sections.find((section) => section.type === SHT_SYMTAB);
  if (!table) return [];
  const link = file.getUint32(at64(file, 40) + table.index * 64 + 40, true);
  const names = sections[link]?.bytes ?? new Uint8Array(0);
  const view = viewOf(table.bytes);
  return Array.from({ length: table.bytes.length / 24 }, (_, index) => {
    const at = index * 24;
    return {
      name: cString(names, view.getUint32(at, true)),
      kind: SYMBOL_KINDS[view.getUint8(at + 4) & 15] ?? 'none',
      sectionIndex: view.getUint16(at + 6, true),
      value: view.getBigUint64(at + 8, true),
      sizeBytes: at64(view, at + 16),
    };
  });
};

const readRelocations = (
  sections: readonly ElfSection[],
  symbols: readonly ElfSymbol[],
): ReadonlyMap<number, readonly ElfRelocation[]> => {
  const result = new Map<number, ElfRelocation[]>();
  for (const section of sections) {
    if (section.type !== SHT_RELA) continue;
    const view = viewOf(section.bytes);
    const entries = Array.from({ length: section.bytes.length / 24 }, (_, index) => {
      const symbol = symbols[view.getUint32(index * 24 + 12, true)];
      if (!symbol) throw new AppError('elf/malformed', `a relocation in ${section.name} names no symbol`);
      return { offset: at64(view, index * 24), symbol, addend: view.getBigInt64(index * 24 + 16, true) };
    });
    result.set(section.info, entries);
  }
  return result;
};

const readSegments = (bytes: Uint8Array, view: DataView): LoadSegment[] => {
  const table = at64(view, 32);
  return Array.from({ length: view.getUint16(56, true) }, (_, index) => table + index * 56)
    .filter((at) => view.getUint32(at, true) === PT_LOAD)
    .map((at) => {
      const offset = at64(view, at + 8);
      return {
        address: view.getBigUint64(at + 16, true),
        bytes: bytes.subarray(offset, offset + at64(view, at + 32)),
        memoryBytes: at64(view, at + 40),
        executable: (view.getUint32(at + 4, true) & 1) !== 0,
      };
    })
    .sort((a, b) => (a.address < b.address ? -1 : 1));
};
