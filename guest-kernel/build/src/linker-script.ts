import type { Machine } from './machine.js';
import type { SlotLayout, TableArea, Unit } from './slots.js';

/** The kernel's entry (docs/adr/001, 006: the instruction pointer starts at `e_entry`). */
const ENTRY_SYMBOL = '_start';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Sections that ld makes for position-independent code: empty here, but it wants a place for them. */
export const LINKER_MADE = '.got .got.plt .igot.plt .iplt .rel.* .rela.*';

/** Every object has these; where they hold something, a unit has placed them before. */
const EMPTY = '.text .data .bss';

/** Name of a source's object in the folder of its link. */
export const objectName = (source: string): string => `${source}.o`;

/**
 * The linker script of one link: every unit that the link has at the address of its slot. Free text is filled with int3 (cc), so
 * that a stray jump fails at once. Any input section without a place is an error of ld (--orphan-handling=error).
 * `present`: the keys of the units that the link has.
 */
export const linkerScript = (
  layout: SlotLayout,
  { outputFormat, outputArchitecture, kernelMap }: Machine,
  present: ReadonlySet<string>,
  sources: readonly string[],
): string => {
  const { text, rodata, data, bss } = layout.regions;
  const units = (region: Unit['region'], start: bigint): string[] =>
    layout.units
      .filter((unit) => unit.region === region && present.has(unit.key))
      .flatMap((unit) => [`    . = ${hex(unit.address - start)};`, `    ${objectName(unit.source)}(${unit.section})`]);
  const at = (address: bigint): string => `${hex(address)} : AT(${hex(address - kernelMap)})`;
  return [
    `OUTPUT_FORMAT("${outputFormat}")`,
    `OUTPUT_ARCH(${outputArchitecture})`,
    `ENTRY(${ENTRY_SYMBOL})`,
    'PHDRS { text PT_LOAD FLAGS(5); rodata PT_LOAD FLAGS(4); data PT_LOAD FLAGS(6); }',
    'SECTIONS {',
    `  .text ${at(text.address)} {`,
    '    _text = .;',
    ...units('text', text.address),
    `    . = ${hex(text.bytes)};`,
    '    _etext = .;',
    '  } :text =0xcccccccc',
    `  .rodata ${at(rodata.address)} {`,
    ...units('rodata', rodata.address),
    ...layout.tables.flatMap((table) => tableLines(table, rodata.address, sources)),
    `    . = ${hex(rodata.bytes)};`,
    '  } :rodata',
    `  .data ${at(data.address)} {`,
    ...units('data', data.address),
    `    . = ${hex(data.bytes)};`,
    '  } :data',
    `  .bss ${at(bss.address)} {`,
    '    __bss_start = .;',
    ...units('bss', bss.address),
    `    . = ${hex(bss.bytes)};`,
    '    __bss_stop = .;',
    '    _end = .;',
    '  } :data',
    `  /DISCARD/ : { *(.eh_frame .comment .note .note.* .pvtrail.* ${LINKER_MADE} ${EMPTY}) }`,
    '}',
    '',
  ].join('\n');
};

const tableLines = (table: TableArea, start: bigint, sources: readonly string[]): string[] => {
  const [first, last] = table.symbols;
  return [
    `    . = ${hex(table.address - start)};`,
    `    ${first} = .;`,
    ...sources.map((source) => `    ${objectName(source)}(${table.section})`),
    `    ${last} = .;`,
    `    . = ${hex(table.address - start + BigInt(table.areaBytes))};`,
  ];
};
