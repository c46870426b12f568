import { AppError, type GuestVirt } from '@pvtrail/primitives';

/** A loadable segment of a guest image. `bytes` holds the file's part; the rest up to `memoryBytes` is zero. */
export interface ElfSegment {
  readonly virt: bigint;
  readonly phys: number;
  readonly bytes: Uint8Array;
  readonly memoryBytes: number;
  readonly executable: boolean;
  readonly writable: boolean;
}

export interface ElfImage {
  readonly bits: 32 | 64;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  /** Defined symbols by name; the first of equal names wins. */
  readonly symbols: ReadonlyMap<string, bigint>;
}

/** No guest kernel is nearly as large; a file beyond it is refused before anything is allocated for it. */
export const MAX_ELF_BYTES = 64 * 1024 * 1024;
const MAX_PROGRAM_HEADERS = 64;
const MAX_SECTIONS = 4096;
const MAX_SYMBOLS = 1 << 18;
/** Guests have at most 1 GiB of memory (definitions §2). */
const MAX_PHYSICAL = 1 << 30;

const PT_LOAD = 1;
const SHT_SYMTAB = 2;
const ET_EXEC = 2;
const EM_386 = 3;
const EM_X86_64 = 62;

/** Where each field lies in the two classes (System V ABI, gABI chapters 4 and 5). */
const LAYOUT = {
  32: {
    machine: EM_386,
    headerBytes: 52,
    entry: 24,
    phoff: 28,
    shoff: 32,
    phentsize: 42,
    phnum: 44,
    shentsize: 46,
    shnum: 48,
    ph: { bytes: 32, flags: 24, offset: 4, vaddr: 8, paddr: 12, filesz: 16, memsz: 20 },
    sh: { bytes: 40, type: 4, offset: 16, size: 20, link: 24, entsize: 36 },
    sym: { bytes: 16, name: 0, value: 4, shndx: 14 },
  },
  64: {
    machine: EM_X86_64,
    headerBytes: 64,
    entry: 24,
    phoff: 32,
    shoff: 40,
    phentsize: 54,
    phnum: 56,
    shentsize: 58,
    shnum: 60,
    ph: { bytes: 56, flags: 4, offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40 },
    sh: { bytes: 64, type: 4, offset: 24, size: 32, link: 40, entsize: 56 },
    sym: { bytes: 24, name: 0, value: 8, shndx: 6 },
  },
} as const;

type Layout = (typeof LAYOUT)[32 | 64];

/** Bounds-checked little-endian reads; every failure names the field. */
class ElfReader {
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly bits: 32 | 64,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u16(offset: number, field: string): number {
    this.#check(offset, 2, field);
    return this.#view.getUint16(offset, true);
  }

  u32(offset: number, field: string): number {
    this.#check(offset, 4, field);
    return this.#view.getUint32(offset, true);
  }

  /** An address-sized field: 4 or 8 bytes. */
  word(offset: number, field: string): bigint {
    if (this.bits === 32) return BigInt(this.u32(offset, field));
    this.#check(offset, 8, field);
    return this.#view.getBigUint64(offset, true);
  }

  /** An address-sized field that is a size or offset inside the file or guest memory. */
  size(offset: number, field: string, limit: number): number {
    const value = this.word(offset, field);
    if (value > BigInt(limit)) throw malformed(`${field} is ${value}, more than ${limit}`);
    return Number(value);
  }

  range(offset: number, length: number, field: string): Uint8Array {
    this.#check(offset, length, field);
    return this.bytes.subarray(offset, offset + length);
  }

  #check(offset: number, length: number, field: string): void {
    if (offset < 0 || length < 0 || offset + length > this.bytes.length) {
      throw malformed(`${field} lies at ${offset}…${offset + length}, beyond the file's ${this.bytes.length} bytes`);
    }
  }
}

const malformed = (what: string): AppError => new AppError('elf/malformed', `not a usable ELF image: ${what}`);

/**
 * Reads a statically linked x86 ELF executable (System V gABI).
 * @throws AppError `elf/malformed` (truncated, inconsistent, overlapping), `elf/unsupported` (other machine or kind), `elf/too-large`
 */
export const parseElf = (bytes: Uint8Array): ElfImage => {
  if (bytes.length > MAX_ELF_BYTES) {
    throw new AppError('elf/too-large', `the image has ${bytes.length} bytes; at most ${MAX_ELF_BYTES} are accepted`);
  }
  const bits = readClass(bytes);
  const layout = LAYOUT[bits];
  const reader = new ElfReader(bytes, bits);
  if (reader.u16(16, 'e_type') !== ET_EXEC)
    throw new AppError('elf/unsupported', 'only statically linked executables (ET_EXEC) can be booted');
  if (reader.u16(18, 'e_machine') !== layout.machine)
    throw new AppError('elf/unsupported', `the image is not for x86 (${bits} bit)`);
  const segments = readSegments(reader, layout);
  const entry = reader.word(layout.entry, 'e_entry');
  if (!segments.some((segment) => segment.executable && contains(segment, entry))) {
    throw malformed(`the entry point 0x${entry.toString(16)} is in no executable segment`);
  }
  return { bits, entry, segments, symbols: readSymbols(reader, layout) };
};

const readClass = (bytes: Uint8Array): 32 | 64 => {
  if (bytes.length < 52) throw malformed(`${bytes.length} bytes are too few for a header`);
  if (bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46)
    throw malformed('the magic number is missing');
  if (bytes[5] !== 1) throw new AppError('elf/unsupported', 'only little-endian images are supported');
  if (bytes[4] === 1) return 32;
  if (bytes[4] === 2) return 64;
  throw malformed(`unknown class ${bytes[4]}`);
};

const contains = (segment: ElfSegment, address: bigint): boolean =>
  address >= segment.virt && address < segment.virt + BigInt(segment.memoryBytes);

const readSegments = (reader: ElfReader, layout: Layout): ElfSegment[] => {
  const offset = reader.size(layout.phoff, 'e_phoff', reader.bytes.length);
  const count = reader.u16(layout.phnum, 'e_phnum');
  if (count > MAX_PROGRAM_HEADERS) throw malformed(`${count} program headers`);
  if (count > 0 && reader.u16(layout.phentsize, 'e_phentsize') !== layout.ph.bytes)
    throw malformed('e_phentsize is wrong');
  const segments: ElfSegment[] = [];
  for (let index = 0; index < count; index++) {
    const at = offset + index * layout.ph.bytes;
    if (reader.u32(at, 'p_type') === PT_LOAD) segments.push(readSegment(reader, layout, at));
  }
  if (segments.length === 0) throw malformed('nothing to load');
  refuseOverlaps(segments);
  return segments;
};

const readSegment = (reader: ElfReader, layout: Layout, at: number): ElfSegment => {
  const flags = reader.u32(at + layout.ph.flags, 'p_flags');
  const phys = reader.size(at + layout.ph.paddr, 'p_paddr', MAX_PHYSICAL);
  const memoryBytes = reader.size(at + layout.ph.memsz, 'p_memsz', MAX_PHYSICAL - phys);
  const fileBytes = reader.size(at + layout.ph.filesz, 'p_filesz', memoryBytes);
  const fileOffset = reader.size(at + layout.ph.offset, 'p_offset', reader.bytes.length);
  return {
    virt: reader.word(at + layout.ph.vaddr, 'p_vaddr'),
    phys,
    bytes: reader.range(fileOffset, fileBytes, 'segment contents'),
    memoryBytes,
    executable: (flags & 1) !== 0,
    writable: (flags & 2) !== 0,
  };
};

const refuseOverlaps = (segments: readonly ElfSegment[]): void => {
  const sorted = segments.toSorted((a, b) => a.phys - b.phys);
  sorted.forEach((segment, index) => {
    const next = sorted[index + 1];
    if (next && segment.phys + segment.memoryBytes > next.phys) {
      throw malformed(`segments overlap at physical 0x${next.phys.toString(16)}`);
    }
  });
};

const readSymbols = (reader: ElfReader, layout: Layout): Map<string, bigint> => {
  const symbols = new Map<string, bigint>();
  const offset = reader.size(layout.shoff, 'e_shoff', reader.bytes.length);
  const count = reader.u16(layout.shnum, 'e_shnum');
  if (offset === 0 || count === 0) return symbols;
  if (count > MAX_SECTIONS) throw malformed(`${count} sections`);
  if (reader.u16(layout.shentsize, 'e_shentsize') !== layout.sh.bytes) throw malformed('e_shentsize is wrong');
  for (let index = 0; index < count; index++) {
    const at = offset + index * layout.sh.bytes;
    if (reader.u32(at + layout.sh.type, 'sh_type') !== SHT_SYMTAB) continue;
    const link = reader.u32(at + layout.sh.link, 'sh_link');
    if (link >= count) throw malformed(`the symbol table names section ${link} of ${count}`);
    collectSymbols(reader, layout, at, offset + link * layout.sh.bytes, symbols);
  }
  return symbols;
};

const sectionBytes = (reader: ElfReader, layout: Layout, header: number): Uint8Array =>
  reader.range(
    reader.size(header + layout.sh.offset, 'sh_offset', reader.bytes.length),
    reader.size(header + layout.sh.size, 'sh_size', reader.bytes.length),
    'section contents',
  );

const collectSymbols = (
  reader: ElfReader,
  layout: Layout,
  table: number,
  strings: number,
  into: Map<string, bigint>,
): void => {
  const names = sectionBytes(reader, layout, strings);
  const entries = new ElfReader(sectionBytes(reader, layout, table), reader.bits);
  const count = Math.floor(entries.bytes.length / layout.sym.bytes);
  if (count > MAX_SYMBOLS) throw malformed(`${count} symbols`);
  for (let index = 0; index < count; index++) {
    const at = index * layout.sym.bytes;
    const isUndefined = entries.u16(at + layout.sym.shndx, 'st_shndx') === 0;
    const name = isUndefined ? '' : nameAt(names, entries.u32(at + layout.sym.name, 'st_name'));
    if (name !== '' && !into.has(name)) into.set(name, entries.word(at + layout.sym.value, 'st_value'));
  }
};

const nameAt = (names: Uint8Array, offset: number): string => {
  const end = names.indexOf(0, offset);
  if (offset > names.length || end < 0) throw malformed(`a symbol name at ${offset} has no end`);
  return Buffer.from(names.subarray(offset, end)).toString('latin1');
};

/** Guest-physical address of a kernel image address. @throws AppError `patch/outside-image` */
export const physicalOf = ({ segments }: ElfImage, address: GuestVirt, length: number): number => {
  const segment = segments.find(
    ({ virt, memoryBytes }) => address >= virt && address + BigInt(length) <= virt + BigInt(memoryBytes),
  );
  if (!segment) {
    throw new AppError(
      'patch/outside-image',
      `0x${address.toString(16)} (${length} bytes) is not in the guest's image`,
    );
  }
  return segment.phys + Number(address - segment.virt);
};
