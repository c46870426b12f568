import { AppError } from '@pvtrail/primitives';
import type { ElfFile } from './elf-file.js';

/**
 * What gcc's verbose assembly says about single instructions, carried through the assembler as addresses: labels before the
 * noted lines, and a section that is never loaded and lists them.
 */
export interface AssemblyNotes {
  /** Instructions with an operand in a spill slot: gcc names it `%sfp` under -fverbose-asm (definitions §4). */
  readonly spills: readonly SectionOffset[];
  /** Inline assembly, from `#APP` to `#NO_APP`. */
  readonly inline: readonly { readonly from: SectionOffset; readonly to: SectionOffset }[];
}

interface SectionOffset {
  readonly section: string;
  readonly offset: number;
}

const NOTES_SECTION = '.pvtrail.notes';
const SPILL = 1;
const INLINE = 2;

/** An instruction line of gcc's output whose comment names the spill frame. */
const SPILL_LINE = /^\t[a-z].*#.*%sfp/;

/**
 * Adds labels and the notes section to gcc's assembly, and turns off the merging of equal strings and constants, which would
 * make the place of one object depend on the others. Labels change no instruction. `wordBytes`: of an address.
 */
export const annotateAssembly = (assembly: string, wordBytes: 4 | 8): string => {
  const word = wordBytes === 8 ? '.quad' : '.long';
  const notes: string[] = [];
  const lines: string[] = [];
  const label = (): string => `.Lpvtrail_note_${lines.length}`;
  let inlineStart: string | undefined;
  const markLine = (line: string): void => {
    if (line === '#APP') {
      inlineStart = label();
      lines.push(`${inlineStart}:`);
    } else if (line === '#NO_APP' && inlineStart !== undefined) {
      const end = label();
      lines.push(`${end}:`);
      notes.push(`\t${word} ${INLINE}, ${inlineStart}, ${end}`);
      inlineStart = undefined;
    } else if (SPILL_LINE.test(line)) {
      const spill = label();
      lines.push(`${spill}:`);
      notes.push(`\t${word} ${SPILL}, ${spill}, ${spill}`);
    }
  };
  for (const line of assembly.split('\n')) {
    markLine(line);
    lines.push(withoutMerging(line));
  }
  return [...lines, `\t.section ${NOTES_SECTION},"",@progbits`, ...notes, ''].join('\n');
};

const withoutMerging = (line: string): string =>
  line.replace(/^(\t\.section\t[^,]+),"aMS?",@progbits,\d+/, '$1,"a",@progbits');

/** Reads the notes of an assembled object. @throws AppError `elf/malformed` when an entry lacks its addresses */
export const readNotes = (object: ElfFile): AssemblyNotes => {
  const section = object.sections.find((candidate) => candidate.name === NOTES_SECTION);
  if (!section) return { spills: [], inline: [] };
  const places = new Map(
    (object.relocations.get(section.index) ?? []).map(({ offset, symbol, addend }) => [
      offset,
      { section: object.sections[symbol.sectionIndex]?.name ?? '', offset: Number(symbol.value + addend) },
    ]),
  );
  const view = new DataView(section.bytes.buffer, section.bytes.byteOffset, section.bytes.byteLength);
  const spills: SectionOffset[] = [];
  const inline: { from: SectionOffset; to: SectionOffset }[] = [];
  const wordBytes = object.bits / 8;
  for (let at = 0; at < section.bytes.length; at += 3 * wordBytes) {
    const from = places.get(at + wordBytes);
    const to = places.get(at + 2 * wordBytes);
    if (!from || !to) throw new AppError('elf/malformed', `note ${at / (3 * wordBytes)} of an object has no address`);
    if (view.getUint32(at, true) === SPILL) spills.push(from);
    else inline.push({ from, to });
  }
  return { spills, inline };
};
