import type { SeededRandom } from '@pvtrail/primitives';
import {
  type Bits,
  type Encoded,
  type Encoding,
  encode,
  encodeOpcodeRegister,
  type Operand,
  type RegisterOperand,
  type Width,
} from './assembler.js';
import { AF, CF, type FlagEffect, OF, PF, SF, STATUS_FLAGS, ZF } from './forms.js';
import type { Flow, Instruction, Region, Step } from './region.js';

/** What a register is for within one region, so that memory operands mostly meet mapped pages. */
export interface Roles {
  /** Hold addresses near the middle of an area, another one in every case; not written by ordinary instructions. */
  readonly pointers: readonly number[];
  /** Hold −8 … 8. */
  readonly indexes: readonly number[];
  /** Hold anything and are written freely. */
  readonly data: readonly number[];
  /** rsp points into the stack area and may push and pop. */
  readonly stack: boolean;
}

/** Thrown when a combination does not fit the registers at hand; another region will take it. Thrown often, so it carries no stack. */
export class DoesNotFit {
  readonly name = 'DoesNotFit';
}

export const NO_FLAGS: FlagEffect = { reads: 0, writes: 0, undefines: 0 };

export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

export const register = (number: number, high = false): RegisterOperand => ({
  kind: 'reg',
  number,
  ...(high ? { high } : {}),
});

export interface EmitOptions {
  readonly mayKeep?: boolean;
  readonly flow?: Flow;
  readonly keep?: boolean;
  readonly relative?: Instruction['relative'];
}

/** A region while it is being written: the steps so far, the flags undefined here, the registers that must be left alone. */
export class RegionDraft {
  steps: Step[] = [];
  readonly routines: Step[][] = [];
  readonly locked = new Set<number>();
  undefinedHere = 0;
  certain = true;
  inRoutine = false;
  #labels = 0;

  constructor(
    readonly random: SeededRandom,
    readonly roles: Roles,
    readonly cpl: 0 | 3,
    readonly bits: Bits,
  ) {}

  /** How many general registers the mode has. */
  get registers(): number {
    return this.bits === 64 ? 16 : 8;
  }

  /** The bytes of one instruction for the draft's mode. */
  encode(
    encoding: Encoding,
    reg?: RegisterOperand,
    rm?: Operand,
    byteOperands?: readonly (Operand | undefined)[],
  ): Encoded {
    return encode({ ...encoding, bits: this.bits }, reg, rm, byteOperands);
  }

  encodeOpcodeRegister(encoding: Encoding, operand: RegisterOperand): Encoded {
    return encodeOpcodeRegister({ ...encoding, bits: this.bits }, operand);
  }

  newLabel(): number {
    return this.#labels++;
  }

  placeLabel(label: number): void {
    this.steps.push({ kind: 'label', label });
  }

  emit(encoded: Encoded, effect: FlagEffect, cells: readonly string[] = [], options: EmitOptions = {}): void {
    const { mayKeep = false, flow = { kind: 'next' }, keep = false } = options;
    const rip = encoded.rip
      ? { at: encoded.rip.at, bytes: 4 as const, to: { address: encoded.rip.target } }
      : undefined;
    const relative = options.relative ?? rip;
    const { certain } = this;
    this.steps.push({
      kind: 'instruction',
      bytes: encoded.bytes,
      effect,
      mayKeep,
      flow,
      cells,
      certain,
      keep,
      ...(relative ? { relative } : {}),
    });
    this.undefinedHere = (mayKeep ? this.undefinedHere : this.undefinedHere & ~effect.writes) | effect.undefines;
  }

  get writable(): number[] {
    return this.roles.data.filter((number) => !this.locked.has(number));
  }

  /** A register that may be written, not one of `avoid`. Throws DoesNotFit. */
  pickWritable(avoid: readonly number[] = [], legacyOnly = false): number {
    const candidates = this.writable.filter((number) => !avoid.includes(number) && (!legacyOnly || number < 8));
    if (candidates.length === 0) throw new DoesNotFit();
    return this.random.pick(candidates);
  }

  needWritable(...numbers: number[]): void {
    if (!numbers.every((number) => this.writable.includes(number))) throw new DoesNotFit();
  }

  /** mov register, value (cut to the mode's width): the shortest form or, now and then, the 64-bit immediate. */
  load(number: number, value: bigint, keep = false): void {
    const unsigned = BigInt.asUintN(this.bits, value);
    const is32 = this.bits === 32 || (unsigned < 0x100000000n && this.random.below(4) !== 0);
    const immediate = { value: unsigned, bytes: is32 ? 4 : 8 };
    const width: Width = is32 ? 32 : 64;
    this.emit(this.encodeOpcodeRegister({ opcode: [0xb8], width, immediate }, register(number)), NO_FLAGS, [], {
      keep,
    });
  }

  push(number: number): void {
    this.emit(
      this.encodeOpcodeRegister({ opcode: [0x50], width: this.bits, default64: true }, register(number)),
      NO_FLAGS,
    );
  }

  /** Makes the flags of `mask` defined, by an instruction that writes them. */
  defineFlags(mask: number): void {
    const missing = this.undefinedHere & mask;
    if (missing === 0) return;
    const all = { reads: 0, writes: STATUS_FLAGS, undefines: 0 };
    if (missing === CF && this.random.below(2) === 0) {
      this.emit({ bytes: [this.random.pick([0xf8, 0xf9])] }, { reads: 0, writes: CF, undefines: 0 });
    } else if ((missing & OF) === 0 && this.random.below(4) === 0) {
      this.emit({ bytes: [0x9e] }, { reads: 0, writes: SF | ZF | AF | PF | CF, undefines: 0 });
    } else {
      const width = this.random.pick(this.bits === 64 ? ([16, 32, 64] as const) : ([16, 32] as const));
      const [left, right] = [register(this.random.below(this.registers)), register(this.random.below(this.registers))];
      this.emit(this.encode({ opcode: [this.random.below(2) ? 0x39 : 0x3b], width }, left, right), all);
    }
  }

  /** Writes `body` as a part that is not executed for certain. */
  uncertain(body: () => void): void {
    const before = this.certain;
    this.certain = false;
    body();
    this.certain = before;
  }

  /** Writes `write` into a list of its own. */
  apart(write: () => void): Step[] {
    const outer = this.steps;
    this.steps = [];
    write();
    const inner = this.steps;
    this.steps = outer;
    return inner;
  }

  finish(): Region {
    this.emit({ bytes: [0xcc] }, NO_FLAGS, [], { flow: { kind: 'stop' }, keep: true });
    return [...this.steps, ...this.routines.flat()];
  }
}
