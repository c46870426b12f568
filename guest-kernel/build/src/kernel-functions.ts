import type { CatalogueFunction } from '@pvtrail/pvops';
import { type CallFrame, readCallFrames } from './call-frames.js';
import type { KernelObject } from './compile.js';
import type { ElfSymbol } from './elf-file.js';
import { isEntry } from './save-rules.js';
import { type SlotLayout, type Unit, unitKey } from './slots.js';

/** A function of one stage's image with all that the build knows about it. */
export interface KernelFunction {
  readonly name: string;
  readonly source: string;
  readonly address: bigint;
  /** Up to the next function of its section, or to the section's end. */
  readonly codeBytes: number;
  /** Up to the next function of its section, or to the slot's end. */
  readonly slotBytes: number;
  readonly frame?: CallFrame;
  /** Addresses of instructions with an operand in a spill slot. */
  readonly spills: ReadonlySet<bigint>;
  readonly inline: readonly { readonly from: bigint; readonly to: bigint }[];
}

/** Symbols of thunks around C functions (domain.md §4.2) begin so. */
export const THUNK_PREFIX = '__raw_callee_save_';

/** All functions of a link in address order. A text section without function symbols is one function with the section's name. */
export const listFunctions = (objects: readonly KernelObject[], layout: SlotLayout): KernelFunction[] => {
  const units = new Map(layout.units.map((unit) => [unit.key, unit]));
  return objects
    .flatMap((object) => {
      const frames = readCallFrames(object.elf);
      return object.elf.sections.flatMap((section) => {
        const unit = units.get(unitKey(object.source, section.name));
        return unit?.region === 'text' ? sectionFunctions(object, section.index, section.sizeBytes, unit, frames) : [];
      });
    })
    .sort((a, b) => (a.address < b.address ? -1 : 1));
};

const sectionFunctions = (
  object: KernelObject,
  sectionIndex: number,
  sectionBytes: number,
  unit: Unit,
  frames: readonly CallFrame[],
): KernelFunction[] => {
  const starts = functionStarts(object.elf.symbols, sectionIndex, unit.section);
  const place = (offset: number): bigint => unit.address + BigInt(offset);
  const inUnit = (note: { section: string }): boolean => note.section === unit.section;
  const spills = new Set(object.notes.spills.filter(inUnit).map(({ offset }) => place(offset)));
  const inline = object.notes.inline
    .filter(({ from }) => inUnit(from))
    .map(({ from, to }) => ({ from: place(from.offset), to: place(to.offset) }));
  return starts.map(({ name, offset }, index) => {
    const next = starts[index + 1]?.offset;
    const frame = frames.find((candidate) => candidate.section === unit.section && candidate.start === offset);
    return {
      name,
      source: object.source,
      address: place(offset),
      codeBytes: (next ?? sectionBytes) - offset,
      slotBytes: (next ?? unit.slotBytes) - offset,
      ...(frame ? { frame } : {}),
      spills,
      inline,
    };
  });
};

/** Of several names for one address the first in alphabetical order counts. */
const functionStarts = (
  symbols: readonly ElfSymbol[],
  sectionIndex: number,
  section: string,
): { name: string; offset: number }[] => {
  const starts = new Map<number, string>();
  for (const symbol of symbols) {
    if (symbol.kind !== 'function' || symbol.sectionIndex !== sectionIndex) continue;
    const offset = Number(symbol.value);
    const known = starts.get(offset);
    if (known === undefined || symbol.name < known) starts.set(offset, symbol.name);
  }
  if (!starts.has(0)) starts.set(0, section);
  return [...starts].map(([offset, name]) => ({ name, offset })).sort((a, b) => a.offset - b.offset);
};

export const isAssembly = (source: string): boolean => source.endsWith('.S');

/** `opTargets`: addresses that op slots point to. */
export const functionKind = (fn: KernelFunction, opTargets: ReadonlySet<bigint>): CatalogueFunction['kind'] => {
  if (fn.name.startsWith(THUNK_PREFIX)) return 'thunk';
  if (opTargets.has(fn.address)) return 'op';
  if (isEntry(fn.source, fn.name)) return 'entry';
  return isAssembly(fn.source) || !fn.frame ? 'asm' : 'c';
};
