import { Mnemonic } from 'iced-x86';
import { type Bits, type DecodedBlock, type Insn, type MemoryOperand, STRING_BASE } from './decode.js';

const RSP = 4;
/** A range wider than this is not checked at once: the further accesses would too often lie on another page. */
const MAX_RANGE_BYTES = 512;

/** One memory access as far as it is known while translating. */
export interface PlannedAccess {
  /** Names the value of the base register; accesses with equal keys differ by constants only. */
  readonly key: string;
  /** Relative to that value. */
  readonly offset: number;
  readonly bytes: number;
  readonly writes: boolean;
}

export interface Range {
  low: number;
  high: number;
  writes: boolean;
}

/** Numbers the values of base registers, so that equal keys mean equal values. The stack pointer is followed through constants. */
export class BaseValues {
  readonly #versions: number[];
  #stackOffset: number;
  readonly #counter: { next: number };

  constructor(versions: number[] = Array(16).fill(0), stackOffset = 0, counter = { next: 1 }) {
    this.#versions = versions;
    this.#stackOffset = stackOffset;
    this.#counter = counter;
  }

  copy(): BaseValues {
    return new BaseValues([...this.#versions], this.#stackOffset, this.#counter);
  }

  /** All values are unknown from here on, as where paths join. */
  forget(): void {
    for (let register = 0; register < 16; register += 1) this.#versions[register] = this.#counter.next++;
    this.#stackOffset = 0;
  }

  plan(register: number, displacement: number, bytes: number, writes: boolean): PlannedAccess {
    const shift = register === RSP ? this.#stackOffset : 0;
    return { key: `${register}.${this.#versions[register]}`, offset: displacement + shift, bytes, writes };
  }

  /** Goes past an instruction. */
  advance(insn: Insn): void {
    const written = insn.written;
    if (written === 0) return;
    const known = (written & (1 << RSP)) !== 0 ? stackDelta(insn) : undefined;
    for (let register = 0; register < 16; register += 1) {
      if ((written & (1 << register)) === 0) continue;
      if (register === RSP && known !== undefined) this.#stackOffset += known;
      else {
        this.#versions[register] = this.#counter.next++;
        if (register === RSP) this.#stackOffset = 0;
      }
    }
  }
}

/** The constant by which an instruction moves the stack pointer, if it is one. */
const stackDelta = (insn: Insn): number | undefined => {
  if (insn.stackIncrement !== 0 && !popsStackPointer(insn)) return insn.stackIncrement;
  const [to, by] = insn.operands;
  if (to?.kind !== 'register' || to.register !== RSP || to.width !== insn.bits) return undefined;
  if (by?.kind !== 'immediate') return undefined;
  const distance = Number(BigInt.asIntN(insn.bits, by.value));
  if (insn.mnemonic === ADD) return distance;
  return insn.mnemonic === SUB ? -distance : undefined;
};

const popsStackPointer = (insn: Insn): boolean => {
  const [to] = insn.operands;
  if (insn.mnemonic === LEAVE || insn.mnemonic === ENTER) return true;
  return insn.stackIncrement > 0 && to?.kind === 'register' && to.register === RSP;
};

const ADD = Mnemonic.Add;
const SUB = Mnemonic.Sub;
const LEAVE = Mnemonic.Leave;
const ENTER = Mnemonic.Enter;

const ALL_REGISTERS = new Set<Mnemonic>([Mnemonic.Pusha, Mnemonic.Pushad, Mnemonic.Popa, Mnemonic.Popad]);

const CONST_PAGE_BYTES = 4096n;

/** A plain `disp(base)` operand, or a constant address: those whose distance to others is known. */
export const planOperand = (
  values: BaseValues,
  memory: MemoryOperand,
  bytes: number,
  writes: boolean,
  bits: Bits,
): PlannedAccess | undefined => {
  if (memory.segment !== -1 || memory.index !== -1 || memory.addressBits !== bits) return undefined;
  if (memory.base === STRING_BASE) return undefined;
  if (memory.base !== -1) return values.plan(memory.base, Number(memory.displacement), bytes, writes);
  const page = memory.displacement & ~(CONST_PAGE_BYTES - 1n);
  return { key: `c${page}`, offset: Number(memory.displacement - page), bytes, writes };
};

/** All accesses of a block that can be planned, merged into one range per key. */
export const planRanges = (block: DecodedBlock, start: BaseValues): Map<string, Range> => {
  const ranges = new Map<string, Range>();
  const values = start.copy();
  for (const insn of block.instructions) {
    for (const access of accessesOf(block, insn, values)) addToRanges(ranges, access);
    values.advance(insn);
  }
  return ranges;
};

const addToRanges = (ranges: Map<string, Range>, { key, offset, bytes, writes }: PlannedAccess): void => {
  const range = ranges.get(key);
  if (range === undefined) {
    ranges.set(key, { low: offset, high: offset + bytes, writes });
    return;
  }
  const low = Math.min(range.low, offset);
  const high = Math.max(range.high, offset + bytes);
  if (high - low > MAX_RANGE_BYTES) return;
  range.low = low;
  range.high = high;
  range.writes ||= writes;
};

const accessesOf = (block: DecodedBlock, insn: Insn, values: BaseValues): PlannedAccess[] => {
  const planned: PlannedAccess[] = [];
  for (const slot of block.shape.slots) {
    if (slot.instruction !== insn.index || slot.repeated) continue;
    const writes = slot.direction !== 'read';
    if (slot.stack) {
      const bytes = Math.abs(insn.stackIncrement);
      if (bytes === insn.bits / 8 || ALL_REGISTERS.has(insn.mnemonic)) {
        planned.push(values.plan(RSP, Math.min(0, insn.stackIncrement), bytes, writes));
      }
      continue;
    }
    const access = insn.memory && planOperand(values, insn.memory, slot.widthBytes, writes, insn.bits);
    if (access !== undefined && !insn.rep && slot.widthBytes > 0 && slot.widthBytes <= 8) planned.push(access);
  }
  return planned;
};
