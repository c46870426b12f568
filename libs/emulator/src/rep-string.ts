import type { CpuState } from './cpu-state.js';
import type { Bits } from './decode.js';
import { DF, FlagOperation, flagKindCode } from './flags.js';
import { GuestFault, Vector } from './guest-fault.js';
import { RAX, RCX, RDI, RSI, STRING_FORMS, type StringAction } from './lift/string.js';
import { accessKind, isCanonical, type Mmu } from './mmu.js';
import type { Recorder } from './recorder.js';
import type { Site } from './sites.js';
import { REGION, type StateField } from './state-layout.js';

const PAGE_BYTES = 4096;
const RUN_DOWN = 0x80000000;
const WIDTHS = { 1: 8, 2: 16, 4: 32, 8: 64 } as const;
const SEGMENTS: Readonly<Record<number, { readonly base: StateField; readonly end: StateField }>> = {
  4: { base: 'fsBase', end: 'fsEnd' },
  5: { base: 'gsBase', end: 'gsEnd' },
};

/** One memory operand of a string instruction in the current run. */
interface Side {
  readonly register: number;
  readonly writes: boolean;
  readonly segment: number;
  /** WebAssembly address of the run's first element. */
  at: number;
  /** Guest-physical address of the second page when the only element of the run crosses one, else -1. */
  splitPhys: number;
  /** Elements from the first one that lie in its page. */
  elements: number;
}

const SIDES: Readonly<Record<StringAction, readonly (readonly [register: number, writes: boolean])[]>> = {
  move: [
    [RSI, false],
    [RDI, true],
  ],
  store: [[RDI, true]],
  load: [[RSI, false]],
  scan: [[RDI, false]],
  compare: [
    [RSI, false],
    [RDI, false],
  ],
};

/**
 * Runs rep string instructions in runs that lie in one page per operand, on the registers in the state area. A fault leaves the
 * registers at the element that raised it (SDM vol. 2, REP), with the runs before it recorded.
 */
export class StringUnit {
  readonly #cpu: CpuState;
  readonly #mmu: Mmu;
  readonly #recorder: Recorder;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #onProtectedStore: (phys: number, length: number) => void;
  readonly #bits: Bits;
  #compared = { left: 0n, right: 0n };

  constructor(
    cpu: CpuState,
    mmu: Mmu,
    recorder: Recorder,
    memory: WebAssembly.Memory,
    onProtectedStore: (phys: number, length: number) => void,
    bits: Bits,
  ) {
    this.#bits = bits;
    this.#cpu = cpu;
    this.#mmu = mmu;
    this.#recorder = recorder;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#onProtectedStore = onProtectedStore;
  }

  /** @throws GuestFault, with the registers at the element that faults */
  run(site: Site): void {
    const insn = site.instruction;
    const form = STRING_FORMS.get(insn.mnemonic);
    if (form === undefined) throw new Error('not a string instruction');
    const { action, bytes } = form;
    const narrow = insn.memory?.addressBits === 32;
    const down = (this.#cpu.u32('systemFlags') & DF) !== 0;
    const conditional = action === 'scan' || action === 'compare';
    const sides = SIDES[action].map(([register, writes]): Side => {
      const segment = register === RSI ? (insn.memory?.segment ?? -1) : -1;
      return { register, writes, segment, at: 0, splitPhys: -1, elements: 0 };
    });
    let first = true;
    let left = this.#count(narrow);
    // With 32-bit addresses registers are cut even when the first element faults (as the processors of today do).
    if (narrow && left > 0) this.#advance(action === 'compare' ? [] : sides, bytes, 0, down, narrow);
    while (left > 0) {
      let elements = left;
      try {
        // The processors of today look at a comparison's second operand first.
        for (const side of conditional ? sides.toReversed() : sides) {
          this.#place(side, bytes, down, narrow, site.user);
          elements = Math.min(elements, side.elements);
        }
      } catch (fault) {
        if (first) this.#recordRun(site, sides, 0, down, true, true);
        throw fault;
      }
      const done = conditional
        ? this.#compareRun(sides, action, bytes, elements, down, insn.repne)
        : { elements: this.#moveRun(sides, action, bytes, elements, down), stopped: false };
      this.#recordRun(site, sides, done.elements, down, first, false);
      this.#advance(sides, bytes, done.elements, down, narrow);
      left -= done.elements;
      first = false;
      if (done.stopped) break;
    }
    if (conditional && !first) this.#setFlags(bytes);
    if (first) this.#recordRun(site, sides, 0, down, true, true);
  }

  /** The count in rcx; beyond 2⁵³ no run ever ends, so that precision does not matter. */
  #count(narrow: boolean): number {
    const low = this.#cpu.gprLow(RCX);
    return narrow ? low : this.#cpu.gprHigh(RCX) * 2 ** 32 + low;
  }

  /** Translates an operand's address and finds how many elements lie in its page. */
  #place(side: Side, bytes: number, down: boolean, narrow: boolean, user: boolean): void {
    const cpu = this.#cpu;
    let low = cpu.gprLow(side.register);
    let high = narrow ? 0 : cpu.gprHigh(side.register);
    const segment = SEGMENTS[side.segment];
    let withinSegment = Number.POSITIVE_INFINITY;
    if (segment !== undefined) {
      const { base, end } = segment;
      if (this.#bits === 32) withinSegment = Math.floor((Number(cpu.u64(end)) - low) / bytes);
      if (withinSegment < 1) throw new GuestFault(Vector.generalProtection);
      const sum = low + cpu.u32(base);
      high = this.#bits === 32 ? 0 : (high + cpu.high(base) + (sum >= 2 ** 32 ? 1 : 0)) >>> 0;
      low = sum >>> 0;
    }
    const offset = low & (PAGE_BYTES - 1);
    const phys = this.#translate(low, high, side.writes, user);
    side.at = REGION.ram + phys;
    side.splitPhys = -1;
    if (offset + bytes > PAGE_BYTES) {
      const nextLow = (low + PAGE_BYTES - offset) >>> 0;
      const nextHigh = nextLow < low && this.#bits === 64 ? (high + 1) >>> 0 : high;
      side.splitPhys = this.#translate(nextLow, nextHigh, side.writes, user);
      side.elements = 1;
      return;
    }
    side.elements = down
      ? Math.floor(offset / bytes) + 1
      : Math.min(withinSegment, Math.floor((PAGE_BYTES - offset) / bytes));
  }

  #translate(low: number, high: number, writes: boolean, user: boolean): number {
    if (!isCanonical(high)) throw new GuestFault(Vector.generalProtection);
    const phys = this.#mmu.walk(low, high, accessKind(user, writes), true);
    if (phys < 0) throw new GuestFault(Vector.pageFault, this.#mmu.errorCode, low, high);
    return phys;
  }

  /** Moves or stores a run; overlapping moves go element by element, as the CPU does. */
  #moveRun(sides: readonly Side[], action: StringAction, bytes: number, elements: number, down: boolean): number {
    const [source, destination] = action === 'move' ? sides : [undefined, sides[0]];
    if (action === 'load') {
      const from = sides[0];
      if (from !== undefined) this.#loadLast(from, bytes, elements, down);
      return elements;
    }
    if (destination === undefined) throw new Error('a string store has a destination');
    const count = sides.some((side) => side.splitPhys >= 0) ? 1 : elements;
    const length = count * bytes;
    if (destination.splitPhys < 0 && (source === undefined || source.splitPhys < 0)) {
      const low = down ? destination.at - length + bytes : destination.at;
      if (source === undefined) this.#fill(low, bytes, count);
      else this.#copy(down ? source.at - length + bytes : source.at, low, bytes, count, down);
      this.#noticeStore(low - REGION.ram, length);
      return count;
    }
    this.#writeElement(
      destination,
      bytes,
      source === undefined ? this.#accumulator(bytes) : this.#readElement(source, bytes),
    );
    return count;
  }

  #noticeStore(phys: number, length: number): void {
    if (this.#mmu.isProtected(phys >>> 12)) this.#onProtectedStore(phys, length);
  }

  #accumulator(bytes: number): bigint {
    return BigInt.asUintN(bytes * 8, this.#cpu.gpr(RAX));
  }

  #fill(at: number, bytes: number, count: number): void {
    const low = this.#cpu.gprLow(RAX);
    const high = this.#cpu.gprHigh(RAX);
    if (bytes === 1 || (low === 0 && (bytes < 8 || high === 0))) {
      this.#bytes.fill(low & 0xff, at, at + bytes * count);
      return;
    }
    for (let offset = 0; offset < bytes * count; offset += bytes) {
      if (bytes === 2) this.#view.setUint16(at + offset, low, true);
      else this.#view.setUint32(at + offset, low, true);
      if (bytes === 8) this.#view.setUint32(at + offset + 4, high, true);
    }
  }

  #copy(from: number, to: number, bytes: number, count: number, down: boolean): void {
    const length = bytes * count;
    const overlaps = from < to + length && to < from + length;
    const harmful = overlaps && (down ? to < from : to > from);
    if (!harmful) {
      this.#bytes.copyWithin(to, from, from + length);
      return;
    }
    for (let index = 0; index < count; index += 1) {
      const offset = (down ? count - 1 - index : index) * bytes;
      this.#bytes.copyWithin(to + offset, from + offset, from + offset + bytes);
    }
  }

  #loadLast(side: Side, bytes: number, elements: number, down: boolean): void {
    const last = side.splitPhys >= 0 ? 0 : (elements - 1) * (down ? -bytes : bytes);
    const value = this.#readElement({ ...side, at: side.at + last }, bytes);
    if (bytes === 8) this.#cpu.setGpr(RAX, value);
    else if (bytes === 4) this.#cpu.setGprHalves(RAX, Number(value), 0);
    else {
      const mask = bytes === 2 ? 0xffff : 0xff;
      this.#cpu.setGprHalves(RAX, (this.#cpu.gprLow(RAX) & ~mask) | Number(value), this.#cpu.gprHigh(RAX));
    }
  }

  #byteAt(side: Side, offset: number): number {
    const inFirst = PAGE_BYTES - ((side.at - REGION.ram) & (PAGE_BYTES - 1));
    return side.splitPhys < 0 || offset < inFirst ? side.at + offset : REGION.ram + side.splitPhys + offset - inFirst;
  }

  #readElement(side: Side, bytes: number): bigint {
    let value = 0n;
    for (let offset = bytes - 1; offset >= 0; offset -= 1) {
      value = (value << 8n) | BigInt(this.#bytes[this.#byteAt(side, offset)] ?? 0);
    }
    return value;
  }

  #writeElement(side: Side, bytes: number, value: bigint): void {
    let rest = value;
    for (let offset = 0; offset < bytes; offset += 1) {
      const at = this.#byteAt(side, offset);
      this.#bytes[at] = Number(rest & 0xffn);
      rest >>= 8n;
      this.#noticeStore(at - REGION.ram, 1);
    }
  }

  /** repe and repne: stops after the first element whose comparison ends the repetition, and keeps its values. */
  #compareRun(
    sides: readonly Side[],
    action: StringAction,
    bytes: number,
    elements: number,
    down: boolean,
    untilEqual: boolean,
  ): { elements: number; stopped: boolean } {
    const [first, second] = sides;
    if (first === undefined) throw new Error('a string comparison has an operand');
    const count = sides.some((side) => side.splitPhys >= 0) ? 1 : elements;
    const step = down ? -bytes : bytes;
    for (let index = 0; index < count; index += 1) {
      const at = (side: Side): bigint => this.#readElement({ ...side, at: side.at + index * step }, bytes);
      const left = action === 'scan' ? this.#accumulator(bytes) : at(first);
      const right = second === undefined ? at(first) : at(second);
      const stopped = (left === right) === untilEqual;
      if (!stopped && index < count - 1) continue;
      this.#compared = { left, right };
      return { elements: index + 1, stopped };
    }
    return { elements: count, stopped: false };
  }

  /** After the last comparison; a fault before it leaves the flags as they were (SDM vol. 2, REP). */
  #setFlags(bytes: number): void {
    const { left, right } = this.#compared;
    const width = WIDTHS[bytes as keyof typeof WIDTHS];
    this.#cpu.setU32('flagKind', flagKindCode(FlagOperation.sub, width));
    this.#cpu.setU64('flagA', left);
    this.#cpu.setU64('flagB', right);
  }

  #recordRun(
    site: Site,
    sides: readonly Side[],
    elements: number,
    down: boolean,
    first: boolean,
    unplaced: boolean,
  ): void {
    const recorder = this.#recorder;
    if (!recorder.enabled) return;
    if (!first) recorder.continuation(site.block);
    for (const side of sides) recorder.address(unplaced ? 0 : side.at - REGION.ram);
    recorder.extra((elements | (down ? RUN_DOWN : 0)) >>> 0);
    if (unplaced) return;
    for (const [slot, side] of sides.entries()) if (side.splitPhys >= 0) recorder.split(slot, side.splitPhys);
  }

  #advance(sides: readonly Side[], bytes: number, elements: number, down: boolean, narrow: boolean): void {
    const delta = down ? -bytes * elements : bytes * elements;
    for (const { register } of sides) this.#add(register, delta, narrow);
    this.#add(RCX, -elements, narrow);
  }

  #add(register: number, delta: number, narrow: boolean): void {
    const cpu = this.#cpu;
    const sum = cpu.gprLow(register) + delta;
    const low = sum >>> 0;
    const carry = Math.floor(sum / 2 ** 32);
    cpu.setGprHalves(register, low, narrow ? 0 : (cpu.gprHigh(register) + carry) >>> 0);
  }
}
