import { AppError } from '@pvtrail/primitives';
import type { Bits } from '@pvtrail/pvops';
import type { ElfFile, ElfRelocation } from './elf-file.js';

/** From `offset` of the function on, the canonical frame address is `register` + `cfaOffset` (DWARF 4, §6.4). */
export interface FrameRow {
  readonly offset: number;
  readonly register: 'sp' | 'bp' | 'other';
  readonly cfaOffset: number;
}

/** What `.eh_frame` says about one function: how deep its stack is where, and which registers it keeps at CFA − n. */
export interface CallFrame {
  readonly section: string;
  readonly start: number;
  readonly entryRule: Omit<FrameRow, 'offset'>;
  readonly rows: readonly FrameRow[];
  /** Callee-saved registers with their offset from the CFA (DW_CFA_offset). */
  readonly savedAt: ReadonlyMap<string, number>;
}

/** DWARF register numbers (System V ABI: figure 3.36 of x86-64, table 2.14 of i386). */
const DWARF_REGISTERS = {
  32: ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'return'],
  64: [
    'rax',
    'rdx',
    'rcx',
    'rbx',
    'rsi',
    'rdi',
    'rbp',
    'rsp',
    'r8',
    'r9',
    'r10',
    'r11',
    'r12',
    'r13',
    'r14',
    'r15',
    'return',
  ],
} as const;

/** The rule at a function's first instruction: the call has just pushed the return address. */
const entryRule = (bits: Bits): Omit<FrameRow, 'offset'> => ({ register: 'sp', cfaOffset: bits / 8 });

class Cursor {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  u8 = (): number => this.#view.getUint8(this.at++);
  u16 = (): number => this.#advance(2, this.#view.getUint16(this.at, true));
  u32 = (): number => this.#advance(4, this.#view.getUint32(this.at, true));

  uleb(): number {
    let result = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.u8();
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return result;
    }
  }

  sleb(): number {
    const start = this.at;
    const raw = this.uleb();
    const last = this.#bytes[this.at - 1] ?? 0;
    return (last & 0x40) !== 0 ? raw - 2 ** (7 * (this.at - start)) : raw;
  }

  skip = (count: number): void => {
    this.at += count;
  };

  #advance(count: number, value: number): number {
    this.at += count;
    return value;
  }
}

interface CommonEntry {
  readonly codeAlignment: number;
  readonly dataAlignment: number;
  readonly instructionsAt: number;
  readonly end: number;
}

/** Call frames of all functions of an object that have an entry in `.eh_frame`. */
export const readCallFrames = (object: ElfFile): CallFrame[] => {
  const section = object.sections.find((candidate) => candidate.name === '.eh_frame');
  if (!section) return [];
  const relocations = new Map((object.relocations.get(section.index) ?? []).map((entry) => [entry.offset, entry]));
  const common = new Map<number, CommonEntry>();
  const frames: CallFrame[] = [];
  for (let at = 0; at + 4 <= section.bytes.length; ) {
    const cursor = new Cursor(section.bytes, at);
    const end = at + 4 + cursor.u32();
    if (end === at + 4) break;
    const idAt = cursor.at;
    const id = cursor.u32();
    if (id === 0) common.set(at, readCommonEntry(cursor, end));
    else
      frames.push(
        readFrame(section.bytes, cursor, end, entryAt(common, idAt - id), relocations.get(cursor.at), object),
      );
    at = end;
  }
  return frames;
};

const entryAt = (common: ReadonlyMap<number, CommonEntry>, at: number): CommonEntry => {
  const entry = common.get(at);
  if (!entry) throw new AppError('elf/malformed', `.eh_frame has no common entry at ${at}`);
  return entry;
};

/** Layout: version, augmentation `zR`, alignments, return register, augmentation data. */
const readCommonEntry = (cursor: Cursor, end: number): CommonEntry => {
  cursor.u8();
  while (cursor.u8() !== 0);
  const codeAlignment = cursor.uleb();
  const dataAlignment = cursor.sleb();
  cursor.uleb();
  cursor.skip(cursor.uleb());
  return { codeAlignment, dataAlignment, instructionsAt: cursor.at, end };
};

const readFrame = (
  bytes: Uint8Array,
  cursor: Cursor,
  end: number,
  common: CommonEntry,
  start: ElfRelocation | undefined,
  object: ElfFile,
): CallFrame => {
  if (!start) throw new AppError('elf/malformed', 'a call frame names no function');
  cursor.skip(8);
  cursor.skip(cursor.uleb());
  const machine = new FrameMachine(common, object.bits);
  machine.run(new Cursor(bytes, common.instructionsAt), common.end);
  machine.run(cursor, end);
  return {
    section: object.sections[start.symbol.sectionIndex]?.name ?? '',
    start: Number(start.symbol.value + start.addend),
    entryRule: entryRule(object.bits),
    rows: machine.rows,
    savedAt: machine.savedAt,
  };
};

/** Executes call frame instructions (DWARF 4, §6.4.2): the forms that gcc and the assembler emit. */
class FrameMachine {
  readonly rows: FrameRow[] = [];
  readonly savedAt = new Map<string, number>();
  readonly #common: CommonEntry;
  readonly #registers: readonly string[];
  readonly #remembered: Omit<FrameRow, 'offset'>[] = [];
  #offset = 0;
  #rule: Omit<FrameRow, 'offset'>;

  constructor(common: CommonEntry, bits: Bits) {
    this.#common = common;
    this.#registers = DWARF_REGISTERS[bits];
    this.#rule = entryRule(bits);
  }

  run(cursor: Cursor, end: number): void {
    while (cursor.at < end) this.#step(cursor);
  }

  #step(cursor: Cursor): void {
    const opcode = cursor.u8();
    const operand = opcode & 0x3f;
    if (opcode >> 6 === 1) this.#offset += operand * this.#common.codeAlignment;
    else if (opcode >> 6 === 2) this.#save(operand, cursor.uleb());
    else if (opcode >> 6 === 0) this.#extended(operand, cursor);
  }

  #save(register: number, factored: number): void {
    const name = this.#registers[register];
    if (name !== undefined && name !== 'return') this.savedAt.set(name, factored * this.#common.dataAlignment);
  }

  #frameRegister(number: number): FrameRow['register'] {
    const name = this.#registers[number]?.slice(1);
    return name === 'sp' || name === 'bp' ? name : 'other';
  }

  #set(rule: Partial<Omit<FrameRow, 'offset'>>): void {
    this.#rule = { ...this.#rule, ...rule };
    this.rows.push({ offset: this.#offset, ...this.#rule });
  }

  #extended(opcode: number, cursor: Cursor): void {
    switch (opcode) {
      case 0x00:
        return;
      case 0x02:
        this.#offset += cursor.u8() * this.#common.codeAlignment;
        return;
      case 0x03:
        this.#offset += cursor.u16() * this.#common.codeAlignment;
        return;
      case 0x04:
        this.#offset += cursor.u32() * this.#common.codeAlignment;
        return;
      case 0x07:
      case 0x08:
        cursor.uleb();
        return;
      case 0x0a:
        this.#remembered.push(this.#rule);
        return;
      case 0x0b:
        this.#set(this.#remembered.pop() ?? this.#rule);
        return;
      case 0x0c:
        this.#set({ register: this.#frameRegister(cursor.uleb()), cfaOffset: cursor.uleb() });
        return;
      case 0x0d:
        this.#set({ register: this.#frameRegister(cursor.uleb()) });
        return;
      case 0x0e:
        this.#set({ cfaOffset: cursor.uleb() });
        return;
      default:
        throw new AppError('elf/malformed', `call frame instruction 0x${opcode.toString(16)} is not known`);
    }
  }
}

/** The frame rule that holds at `offset` of the function. */
export const rowAt = (frame: CallFrame, offset: number): FrameRow =>
  frame.rows.findLast((row) => row.offset <= offset) ?? { offset: 0, ...frame.entryRule };
