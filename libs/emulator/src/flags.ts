import type { Width } from './decode.js';
import { type CodeWriter, Op } from './wasm-writer.js';

/**
 * Lazy flags: what produced the flags, and up to two values from which every flag can be computed.
 * Intel SDM vol. 1 §3.4.3.1 defines the flags; values are zero-extended to 64 bits.
 *
 * | operation | a | b | flags |
 * |---|---|---|---|
 * | explicit | RFLAGS bits | – | as stored |
 * | add, sub | first operand | second operand | of a + b, a − b |
 * | logic | result | – | CF = OF = AF = 0 |
 * | increment, decrement | result | old CF | OF, AF from the result |
 * | bits | result | CF ∣ OF·2 ∣ AF·4 | ZF, SF, PF from the result |
 * | multiply | first operand | second operand | CF = OF = the signed product does not fit; computed only by the run-time helper |
 */
export const FlagOperation = {
  explicit: 0,
  add: 1,
  sub: 2,
  logic: 3,
  increment: 4,
  decrement: 5,
  bits: 6,
  multiply: 7,
} as const;
export type FlagOperation = (typeof FlagOperation)[keyof typeof FlagOperation];

export const CF = 1;
const PF = 4;
const AF = 0x10;
const ZF = 0x40;
const SF = 0x80;
export const TF = 0x100;
export const IF = 0x200;
export const DF = 0x400;
export const OF = 0x800;
export const IOPL = 0x3000;
export const NT = 0x4000;
export const RF = 0x10000;
/** Virtual-8086 mode. */
export const VM = 0x20000;
export const AC = 0x40000;
export const ID = 0x200000;
export const ARITHMETIC_FLAGS = CF | PF | AF | ZF | SF | OF;

/** The flags that iret loads at a privilege level (SDM vol. 2, IRET). */
export const returnedFlags = (cpl: number, systemFlags: number): number => {
  const always = ARITHMETIC_FLAGS | TF | DF | NT | RF | AC | ID;
  return always | (cpl === 0 ? IOPL : 0) | (cpl <= (systemFlags & IOPL) >>> 12 ? IF : 0);
};

const LOG_WIDTH: Readonly<Record<Width, number>> = { 8: 0, 16: 1, 32: 2, 64: 3 };
const WIDTHS: readonly Width[] = [8, 16, 32, 64];

/** The number stored in the state's `flagKind`. */
export const flagKindCode = (operation: FlagOperation, width: Width): number => operation * 4 + LOG_WIDTH[width];

const signBit = (width: Width): bigint => 1n << BigInt(width - 1);
const maskOf = (width: Width): bigint => (1n << BigInt(width)) - 1n;

const parity = (value: bigint): boolean => {
  let byte = Number(value & 0xffn);
  byte ^= byte >> 4;
  byte ^= byte >> 2;
  byte ^= byte >> 1;
  return (byte & 1) === 0;
};

const fromResult = (result: bigint, width: Width): number =>
  (result === 0n ? ZF : 0) | ((result & signBit(width)) !== 0n ? SF : 0) | (parity(result) ? PF : 0);

const additive = (a: bigint, b: bigint, width: Width, subtract: boolean): number => {
  const result = (subtract ? a - b : a + b) & maskOf(width);
  const carry = subtract ? a < b : result < a;
  const overflow = (subtract ? (a ^ b) & (a ^ result) : ~(a ^ b) & (a ^ result)) & signBit(width);
  const auxiliary = (a ^ b ^ result) & 0x10n;
  return fromResult(result, width) | (carry ? CF : 0) | (overflow !== 0n ? OF : 0) | Number(auxiliary);
};

const stepped = (result: bigint, carry: bigint, width: Width, down: boolean): number => {
  const overflow = result === (down ? signBit(width) - 1n : signBit(width));
  const auxiliary = (result & 0xfn) === (down ? 0xfn : 0n);
  return fromResult(result, width) | (carry !== 0n ? CF : 0) | (overflow ? OF : 0) | (auxiliary ? AF : 0);
};

/** The readable twin of the generated code: the arithmetic flags that a lazy state stands for. */
export const arithmeticFlags = (kindCode: number, a: bigint, b: bigint): number => {
  const width = WIDTHS[kindCode & 3] ?? 64;
  switch (kindCode >> 2) {
    case FlagOperation.add:
      return additive(a, b, width, false);
    case FlagOperation.sub:
      return additive(a, b, width, true);
    case FlagOperation.logic:
      return fromResult(a, width);
    case FlagOperation.increment:
      return stepped(a, b, width, false);
    case FlagOperation.decrement:
      return stepped(a, b, width, true);
    case FlagOperation.bits:
      return (
        fromResult(a, width) | ((b & 1n) !== 0n ? CF : 0) | ((b & 2n) !== 0n ? OF : 0) | ((b & 4n) !== 0n ? AF : 0)
      );
    case FlagOperation.multiply:
      return multiplied(BigInt.asIntN(width, a) * BigInt.asIntN(width, b), width);
    default:
      return Number(a) & ARITHMETIC_FLAGS;
  }
};

const multiplied = (product: bigint, width: Width): number =>
  fromResult(BigInt.asUintN(width, product), width) | (BigInt.asIntN(width, product) === product ? 0 : CF | OF);

/** A lazy flag state whose operation and width are known while translating; `a` and `b` are i64 locals. */
export interface KnownFlags {
  readonly operation: FlagOperation;
  readonly width: Width;
}

/** Emits computations over the lazy flags of one function: each method pushes an i32. */
export class FlagReader {
  readonly #code: CodeWriter;
  readonly #a: number;
  readonly #b: number;

  constructor(code: CodeWriter, a: number, b: number) {
    this.#code = code;
    this.#a = a;
    this.#b = b;
  }

  /** Pushes a flag value in the width's own type: i64 for 64, else i32. */
  #value(local: number, width: Width): CodeWriter {
    this.#code.get(local);
    if (width < 64) this.#code.op(Op.i32WrapI64);
    return this.#code;
  }

  #signed(local: number, width: Width): CodeWriter {
    this.#value(local, width);
    if (width === 8) this.#code.op(Op.i32Extend8S);
    if (width === 16) this.#code.op(Op.i32Extend16S);
    return this.#code;
  }

  /** Pushes the result, zero-extended within its type. */
  #result({ operation, width }: KnownFlags): CodeWriter {
    const wide = width === 64;
    this.#value(this.#a, width);
    if (operation !== FlagOperation.add && operation !== FlagOperation.sub) return this.#code;
    this.#value(this.#b, width);
    this.#code.op(operation === FlagOperation.add ? (wide ? Op.i64Add : Op.i32Add) : wide ? Op.i64Sub : Op.i32Sub);
    if (width < 32) this.#code.i32(Number(maskOf(width))).op(Op.i32And);
    return this.#code;
  }

  #explicitBit(bit: number): void {
    this.#code.get(this.#a).op(Op.i32WrapI64).i32(bit).op(Op.i32And).i32(0).op(Op.i32Ne);
  }

  #packedBit(bit: number): void {
    this.#code.get(this.#b).op(Op.i32WrapI64).i32(bit).op(Op.i32And).i32(0).op(Op.i32Ne);
  }

  carry(flags: KnownFlags): void {
    const { operation, width } = flags;
    const wide = width === 64;
    switch (operation) {
      case FlagOperation.explicit:
        this.#explicitBit(CF);
        return;
      case FlagOperation.add:
        this.#result(flags);
        this.#value(this.#a, width).op(wide ? Op.i64LtU : Op.i32LtU);
        return;
      case FlagOperation.sub:
        this.#value(this.#a, width);
        this.#value(this.#b, width).op(wide ? Op.i64LtU : Op.i32LtU);
        return;
      case FlagOperation.logic:
        this.#code.i32(0);
        return;
      case FlagOperation.increment:
      case FlagOperation.decrement:
        this.#code.get(this.#b).op(Op.i32WrapI64);
        return;
      default:
        this.#code.get(this.#b).op(Op.i32WrapI64).i32(1).op(Op.i32And);
    }
  }

  zero(flags: KnownFlags): void {
    const { operation, width } = flags;
    if (operation === FlagOperation.explicit) {
      this.#explicitBit(ZF);
    } else if (operation === FlagOperation.sub) {
      this.#value(this.#a, width);
      this.#value(this.#b, width).op(width === 64 ? Op.i64Eq : Op.i32Eq);
    } else {
      this.#result(flags).op(width === 64 ? Op.i64Eqz : Op.i32Eqz);
    }
  }

  sign(flags: KnownFlags): void {
    const { operation, width } = flags;
    if (operation === FlagOperation.explicit) {
      this.#explicitBit(SF);
      return;
    }
    this.#result(flags);
    this.#topBit(width);
  }

  #topBit(width: Width): void {
    if (width === 64) this.#code.i64(0n).op(Op.i64LtS);
    else if (width === 32) this.#code.i32(0).op(Op.i32LtS);
    else
      this.#code
        .i32(width - 1)
        .op(Op.i32ShrU)
        .i32(1)
        .op(Op.i32And);
  }

  parity(flags: KnownFlags): void {
    const { operation, width } = flags;
    if (operation === FlagOperation.explicit) {
      this.#explicitBit(PF);
      return;
    }
    this.#result(flags);
    if (width === 64) this.#code.op(Op.i32WrapI64);
    this.#code.i32(0xff).op(Op.i32And).op(Op.i32Popcnt).i32(1).op(Op.i32And).op(Op.i32Eqz);
  }

  overflow(flags: KnownFlags): void {
    const { operation, width } = flags;
    const wide = width === 64;
    const xor = wide ? Op.i64Xor : Op.i32Xor;
    switch (operation) {
      case FlagOperation.explicit:
        this.#explicitBit(OF);
        return;
      case FlagOperation.logic:
        this.#code.i32(0);
        return;
      case FlagOperation.bits:
        this.#packedBit(2);
        return;
      case FlagOperation.increment:
      case FlagOperation.decrement: {
        const limit = operation === FlagOperation.increment ? signBit(width) : signBit(width) - 1n;
        this.#result(flags);
        if (wide) this.#code.i64(limit).op(Op.i64Eq);
        else this.#code.i32(Number(limit)).op(Op.i32Eq);
        return;
      }
      default:
        break;
    }
    // add: (a ^ r) & (b ^ r); sub: (a ^ b) & (a ^ r)
    const other = operation === FlagOperation.add ? this.#b : this.#a;
    this.#value(this.#a, width);
    if (operation === FlagOperation.add) this.#result(flags);
    else this.#value(this.#b, width);
    this.#code.op(xor);
    this.#value(other, width);
    this.#result(flags);
    this.#code.op(xor).op(wide ? Op.i64And : Op.i32And);
    this.#topBit(width);
  }

  /** AF as bit 4 of the pushed value. */
  auxiliary(flags: KnownFlags): void {
    const { operation, width } = flags;
    switch (operation) {
      case FlagOperation.explicit:
        this.#code.get(this.#a).op(Op.i32WrapI64).i32(AF).op(Op.i32And);
        return;
      case FlagOperation.logic:
        this.#code.i32(0);
        return;
      case FlagOperation.bits:
        this.#code.get(this.#b).op(Op.i32WrapI64).i32(4).op(Op.i32And).i32(2).op(Op.i32Shl);
        return;
      case FlagOperation.increment:
      case FlagOperation.decrement:
        this.#code.get(this.#a).op(Op.i32WrapI64).i32(0xf).op(Op.i32And);
        this.#code.i32(operation === FlagOperation.increment ? 0 : 0xf).op(Op.i32Eq);
        this.#code.i32(4).op(Op.i32Shl);
        return;
      default:
        this.#result(flags);
        if (width === 64) this.#code.op(Op.i32WrapI64);
        this.#code.get(this.#a).get(this.#b).op(Op.i64Xor).op(Op.i32WrapI64).op(Op.i32Xor).i32(AF).op(Op.i32And);
    }
  }

  /** Pushes all arithmetic flags at their places in RFLAGS. */
  all(flags: KnownFlags): void {
    if (flags.operation === FlagOperation.explicit) {
      this.#code.get(this.#a).op(Op.i32WrapI64).i32(ARITHMETIC_FLAGS).op(Op.i32And);
      return;
    }
    this.carry(flags);
    for (const [bit, emit] of [
      [2, () => this.parity(flags)],
      [6, () => this.zero(flags)],
      [7, () => this.sign(flags)],
      [11, () => this.overflow(flags)],
    ] as const) {
      emit();
      this.#code.i32(bit).op(Op.i32Shl).op(Op.i32Or);
    }
    this.auxiliary(flags);
    this.#code.op(Op.i32Or);
  }

  /** Pushes 1 when condition `code` (the low 4 bits of jcc, setcc and cmovcc: SDM vol. 1 appendix B) holds. */
  condition(flags: KnownFlags, code: number): void {
    this.#positive(flags, code & 0xe);
    if ((code & 1) !== 0) this.#code.op(Op.i32Eqz);
  }

  #positive(flags: KnownFlags, code: number): void {
    if (flags.operation === FlagOperation.sub && this.#compared(flags.width, code)) return;
    if (flags.operation === FlagOperation.logic && this.#tested(flags.width, code)) return;
    switch (code) {
      case 0:
        this.overflow(flags);
        return;
      case 2:
        this.carry(flags);
        return;
      case 4:
        this.zero(flags);
        return;
      case 6:
        this.carry(flags);
        this.zero(flags);
        this.#code.op(Op.i32Or);
        return;
      case 8:
        this.sign(flags);
        return;
      case 10:
        this.parity(flags);
        return;
      case 12:
        this.sign(flags);
        this.overflow(flags);
        this.#code.op(Op.i32Xor);
        return;
      default:
        this.sign(flags);
        this.overflow(flags);
        this.#code.op(Op.i32Xor);
        this.zero(flags);
        this.#code.op(Op.i32Or);
    }
  }

  /** After a subtraction most conditions are one comparison of its operands. */
  #compared(width: Width, code: number): boolean {
    const wide = width === 64;
    const compare = COMPARISONS[code];
    if (compare === undefined) return false;
    if (compare.signed) {
      this.#signed(this.#a, width);
      this.#signed(this.#b, width);
    } else {
      this.#value(this.#a, width);
      this.#value(this.#b, width);
    }
    this.#code.op(wide ? compare.wide : compare.narrow);
    return true;
  }

  /** After a logical operation CF = OF = 0. */
  #tested(width: Width, code: number): boolean {
    const wide = width === 64;
    if (code === 12 || code === 14) {
      this.#signed(this.#a, width);
      if (wide) this.#code.i64(0n).op(code === 12 ? Op.i64LtS : Op.i64LeS);
      else this.#code.i32(0).op(code === 12 ? Op.i32LtS : Op.i32LeS);
      return true;
    }
    if (code !== 6) return false;
    this.#value(this.#a, width).op(wide ? Op.i64Eqz : Op.i32Eqz);
    return true;
  }
}

const COMPARISONS: Readonly<
  Record<number, { readonly signed: boolean; readonly wide: number; readonly narrow: number }>
> = {
  2: { signed: false, wide: Op.i64LtU, narrow: Op.i32LtU },
  4: { signed: false, wide: Op.i64Eq, narrow: Op.i32Eq },
  6: { signed: false, wide: Op.i64LeU, narrow: Op.i32LeU },
  12: { signed: true, wide: Op.i64LtS, narrow: Op.i32LtS },
  14: { signed: true, wide: Op.i64LeS, narrow: Op.i32LeS },
};
