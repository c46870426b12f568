import { AppError } from '@pvtrail/primitives';
import type { KernelObject } from './compile.js';
import { type ElfSection, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS } from './elf-file.js';

/** Where a unit goes. Tables are joined from all sources without gaps, because the kernel walks them from start to end. */
type Region = 'text' | 'rodata' | 'table' | 'data' | 'bss';

/** One section of one source: a function or an object, with the same address in all stages (definitions §1). */
export interface Unit {
  readonly key: string;
  readonly source: string;
  readonly section: string;
  readonly region: Region;
  readonly alignment: number;
  /** Bytes of its largest stage; for text rounded up to whole slots. */
  readonly slotBytes: number;
  readonly address: bigint;
}

/** A joined table with room for its largest stage. */
export interface TableArea {
  readonly section: string;
  readonly symbols: readonly [start: string, end: string];
  readonly address: bigint;
  readonly areaBytes: number;
}

export interface SlotLayout {
  readonly units: readonly Unit[];
  readonly tables: readonly TableArea[];
  /** Start and size of each output section. */
  readonly regions: Readonly<
    Record<'text' | 'rodata' | 'data' | 'bss', { readonly address: bigint; readonly bytes: number }>
  >;
}

const SLOT_ALIGNMENT = 16;
const PAGE = 4096;

const TABLES: readonly {
  readonly section: string;
  readonly symbols: readonly [string, string];
  readonly alignment: number;
}[] = [
  { section: '__ex_table', symbols: ['__start___ex_table', '__stop___ex_table'], alignment: 16 },
  { section: '.parainstructions', symbols: ['__parainstructions', '__parainstructions_end'], alignment: 16 },
];

export const OP_TABLE_SECTION = '.data.pv_ops';

/** Sections that are read at build time or by nobody: unwinding, compiler banners, notes. */
const DISCARDED = /^\.(eh_frame|comment|note|pvtrail)/;

const regionOf = (section: ElfSection): Region | undefined => {
  if ((section.flags & SHF_ALLOC) === 0 || section.sizeBytes === 0 || DISCARDED.test(section.name)) return undefined;
  if (TABLES.some((table) => table.section === section.name)) return 'table';
  if ((section.flags & SHF_EXECINSTR) !== 0) return 'text';
  if (section.type === SHT_NOBITS) return 'bss';
  return (section.flags & SHF_WRITE) !== 0 ? 'data' : 'rodata';
};

export const unitKey = (source: string, section: string): string => `${source}:${section}`;

type UnplacedUnit = Omit<Unit, 'address'>;

/**
 * Lays out the units of all links: sources in sorted order, within one the order of its base link, with units that only other
 * links have after the one that they follow there. `kernelBase`: where text begins.
 * @throws AppError `input/unsupported-combination` when a section changes its region between links
 */
export const layOutSlots = (links: readonly (readonly KernelObject[])[], kernelBase: bigint): SlotLayout => {
  const units = mergeUnits(links);
  const text = place(units, 'text', kernelBase);
  const rodata = place(units, 'rodata', alignUp(text.end, PAGE));
  const tables = placeTables(links, rodata.end);
  const rodataEnd = tables.at(-1)
    ? tables.reduce((_, table) => table.address + BigInt(table.areaBytes), rodata.end)
    : rodata.end;
  const data = place(units, 'data', alignUp(rodataEnd, PAGE));
  const bss = place(units, 'bss', alignUp(data.end, PAGE));
  const region = (start: bigint, end: bigint) => ({ address: start, bytes: Number(end - start) });
  return {
    units: [...text.units, ...rodata.units, ...data.units, ...bss.units],
    tables,
    regions: {
      text: region(kernelBase, text.end),
      rodata: region(alignUp(text.end, PAGE), rodataEnd),
      data: region(alignUp(rodataEnd, PAGE), data.end),
      bss: region(alignUp(data.end, PAGE), bss.end),
    },
  };
};

const alignUp = (value: bigint, alignment: number): bigint => {
  const step = BigInt(Math.max(alignment, 1));
  return ((value + step - 1n) / step) * step;
};

const mergeUnits = (links: readonly (readonly KernelObject[])[]): UnplacedUnit[] => {
  const sources = links[0]?.map((object) => object.source) ?? [];
  return sources.flatMap((source, index) => {
    const merged = new Map<string, UnplacedUnit>();
    let order: string[] = [];
    for (const objects of links) {
      const found = unitsOf(source, objects[index]?.elf.sections ?? []);
      for (const unit of found) merged.set(unit.key, larger(unit, merged.get(unit.key)));
      order = mergeOrder(
        order,
        found.map((unit) => unit.key),
      );
    }
    return order.flatMap((key) => merged.get(key) ?? []);
  });
};

const unitsOf = (source: string, sections: readonly ElfSection[]): UnplacedUnit[] =>
  sections.flatMap((section) => {
    const region = regionOf(section);
    if (region === undefined || region === 'table') return [];
    const isText = region === 'text';
    return {
      key: unitKey(source, section.name),
      source,
      section: section.name,
      region,
      alignment: isText ? Math.max(section.alignment, SLOT_ALIGNMENT) : section.alignment,
      slotBytes: isText ? Math.ceil(section.sizeBytes / SLOT_ALIGNMENT) * SLOT_ALIGNMENT : section.sizeBytes,
    };
  });

const larger = (unit: UnplacedUnit, known: UnplacedUnit | undefined): UnplacedUnit => {
  if (!known) return unit;
  if (known.region !== unit.region) {
    throw new AppError(
      'input/unsupported-combination',
      `${unit.key} is ${known.region} in one stage and ${unit.region} in another: a unit has one place in all stages`,
    );
  }
  return {
    ...unit,
    alignment: Math.max(unit.alignment, known.alignment),
    slotBytes: Math.max(unit.slotBytes, known.slotBytes),
  };
};

/** Keeps the first order; a newcomer goes after the key that it follows in the second. */
export const mergeOrder = (first: readonly string[], second: readonly string[]): string[] => {
  const result = [...first];
  let previous = -1;
  for (const key of second) {
    const known = result.indexOf(key);
    if (known < 0) result.splice(previous + 1, 0, key);
    previous = known < 0 ? previous + 1 : known;
  }
  return result;
};

/** Within data the op table is first, so that its address does not move with the kernel's other data. */
const place = (all: readonly UnplacedUnit[], region: Region, start: bigint): { units: Unit[]; end: bigint } => {
  const own = all.filter((unit) => unit.region === region);
  const isOpTable = (unit: UnplacedUnit): boolean => unit.section === OP_TABLE_SECTION;
  let end = start;
  const units = [...own.filter(isOpTable), ...own.filter((unit) => !isOpTable(unit))].map((unit) => {
    const address = alignUp(end, unit.alignment);
    end = address + BigInt(unit.slotBytes);
    return { ...unit, address };
  });
  return { units, end };
};

const placeTables = (links: readonly (readonly KernelObject[])[], start: bigint): TableArea[] => {
  let end = start;
  return TABLES.map(({ section, symbols, alignment }) => {
    const areaBytes = Math.max(0, ...links.map((objects) => joinedBytes(objects, section)));
    const address = alignUp(end, alignment);
    end = address + BigInt(areaBytes);
    return { section, symbols, address, areaBytes };
  });
};

const joinedBytes = (objects: readonly KernelObject[], name: string): number =>
  objects
    .flatMap((object) => object.elf.sections.filter((section) => section.name === name))
    .reduce((total, { alignment, sizeBytes }) => Number(alignUp(BigInt(total), alignment)) + sizeBytes, 0);
