import { Mnemonic } from 'iced-x86';
import type { Operand, Width } from '../decode.js';
import { CF, FlagOperation, flagKindCode, OF } from '../flags.js';
import { I32, Op } from '../wasm-writer.js';
import { flagFrom, readDestination } from './arithmetic.js';
import type { FunctionEmitter } from './function-emitter.js';
import type { Lifter } from './lifter.js';

/** A shift count, already cut to 5 or 6 bits: a constant, or an i32 local. */
type Count = { readonly constant: number } | { readonly local: number };

const countMask = (width: Width): number => (width === 64 ? 63 : 31);

const readCount = (e: FunctionEmitter, operand: Operand, width: Width): Count => {
  if (operand.kind === 'immediate') return { constant: Number(operand.value & BigInt(countMask(width))) };
  e.read(operand, 8);
  e.code.i32(countMask(width)).op(Op.i32And);
  return { local: e.keep(32) };
};

/** Pushes the count as i32. */
const pushCount = (e: FunctionEmitter, count: Count): void => {
  if ('constant' in count) e.code.i32(count.constant);
  else e.code.get(count.local);
};

/** Pushes the count in the width's type. */
const pushSizedCount = (e: FunctionEmitter, count: Count, width: Width): void => {
  pushCount(e, count);
  if (width === 64) e.code.op(Op.i64ExtendI32U);
};

/** Pushes `constant − count` in the width's type. */
const pushRemainder = (e: FunctionEmitter, from: number, count: Count, width: Width): void => {
  e.code.i32(from);
  pushCount(e, count);
  e.code.op(Op.i32Sub);
  if (width === 64) e.code.op(Op.i64ExtendI32U);
};

/** Leaves only bit 0 of the value on the stack, as i32. */
const lowBit = (e: FunctionEmitter, width: Width): void => {
  if (width === 64) e.code.op(Op.i32WrapI64);
  e.code.i32(1).op(Op.i32And);
};

/** Pushes bit `position` of a local of the width's type, as i32. */
const pushBit = (e: FunctionEmitter, local: number, width: Width, position: number): void => {
  e.code.get(local);
  e.constant(BigInt(position), width === 64 ? 64 : 32);
  e.sized(width, Op.i32ShrU, Op.i64ShrU);
  lowBit(e, width);
};

const topBit = (e: FunctionEmitter, local: number, width: Width): void => pushBit(e, local, width, width - 1);

/** What a shift does to its operand: each function pushes a value of the width's type, or an i32 flag. */
interface ShiftForm {
  result(e: FunctionEmitter, old: number, count: Count, width: Width): void;
  /** The last bit shifted out; the count is not 0. */
  carry(e: FunctionEmitter, old: number, count: Count, width: Width): void;
  /** Defined for a count of 1 (SDM vol. 2, SAL/SAR/SHL/SHR); the same formula for others. */
  overflow(e: FunctionEmitter, old: number, result: number, carry: number, width: Width): void;
}

const signExtended = (e: FunctionEmitter, local: number, width: Width): void => {
  e.code.get(local);
  if (width === 8) e.code.op(Op.i32Extend8S);
  if (width === 16) e.code.op(Op.i32Extend16S);
};

const beforeLast = (e: FunctionEmitter, count: Count, width: Width): void => {
  pushCount(e, count);
  e.code.i32(1).op(Op.i32Sub);
  if (width === 64) e.code.op(Op.i64ExtendI32U);
};

const LEFT: ShiftForm = {
  result(e, old, count, width) {
    e.code.get(old);
    pushSizedCount(e, count, width);
    e.sized(width, Op.i32Shl, Op.i64Shl);
    e.mask(width);
  },
  carry(e, old, count, width) {
    e.code.get(old);
    if (width < 32) {
      pushCount(e, count);
      e.code.op(Op.i32Shl).i32(width).op(Op.i32ShrU);
    } else {
      pushRemainder(e, width, count, width);
      e.sized(width, Op.i32ShrU, Op.i64ShrU);
    }
    lowBit(e, width);
  },
  overflow(e, _old, result, carry, width) {
    topBit(e, result, width);
    e.code.get(carry).op(Op.i32Xor);
  },
};

const RIGHT: ShiftForm = {
  result(e, old, count, width) {
    e.code.get(old);
    pushSizedCount(e, count, width);
    e.sized(width, Op.i32ShrU, Op.i64ShrU);
  },
  carry(e, old, count, width) {
    e.code.get(old);
    beforeLast(e, count, width);
    e.sized(width, Op.i32ShrU, Op.i64ShrU);
    lowBit(e, width);
  },
  overflow(e, old, _result, _carry, width) {
    topBit(e, old, width);
  },
};

const ARITHMETIC_RIGHT: ShiftForm = {
  result(e, old, count, width) {
    signExtended(e, old, width);
    pushSizedCount(e, count, width);
    e.sized(width, Op.i32ShrS, Op.i64ShrS);
    e.mask(width);
  },
  carry(e, old, count, width) {
    signExtended(e, old, width);
    beforeLast(e, count, width);
    e.sized(width, Op.i32ShrS, Op.i64ShrS);
    lowBit(e, width);
  },
  overflow(e) {
    e.code.i32(0);
  },
};

/** flagA = result, flagB = CF ∣ OF·2; a count of 0 leaves the flags as they were. */
const updateShiftFlags = (e: FunctionEmitter, count: Count, width: Width, set: () => void): void => {
  if ('constant' in count) {
    if (count.constant === 0) return;
    set();
    e.setFlags(FlagOperation.bits, width);
    return;
  }
  e.makeFlagsDynamic();
  e.code.get(count.local).if();
  set();
  e.code.i32(flagKindCode(FlagOperation.bits, width)).set(e.flagKind);
  e.code.end();
};

const shift =
  (form: ShiftForm): Lifter =>
  (e) => {
    const count = shiftCount(e);
    const { width, old, write } = readDestination(e);
    form.result(e, old, count, width);
    const result = e.keep(width);
    write(result);
    const carry = e.scratch(I32);
    updateShiftFlags(e, count, width, () => {
      form.carry(e, old, count, width);
      e.code.set(carry);
      e.code.get(carry);
      form.overflow(e, old, result, carry, width);
      e.code.i32(1).op(Op.i32Shl).op(Op.i32Or).op(Op.i64ExtendI32U).set(e.flagB);
      flagFrom(e, e.flagA, result, width);
    });
  };

/** The count of a shift by 1 has no operand in some encodings. */
const shiftCount = (e: FunctionEmitter): Count => {
  const first = e.operand(0);
  const width = first.kind === 'register' || first.kind === 'memory' ? first.width : 64;
  const operand = e.insn.operands[1];
  return operand === undefined ? { constant: 1 } : readCount(e, operand, width);
};

/** Replaces CF and OF in the flags, unless the count is 0. `carry` and `overflow` push i32 bits. */
const updateRotateFlags = (e: FunctionEmitter, count: Count, carry: () => void, overflow: () => void): void => {
  if ('constant' in count && count.constant === 0) return;
  e.pushFlags();
  const before = e.keep(32);
  const { code } = e;
  code
    .get(before)
    .i32(~(CF | OF))
    .op(Op.i32And);
  carry();
  code.op(Op.i32Or);
  overflow();
  code.i32(11).op(Op.i32Shl).op(Op.i32Or);
  if ('local' in count) code.get(before).get(count.local).op(Op.select);
  code.op(Op.i64ExtendI32U).set(e.flagA);
  e.setFlags(FlagOperation.explicit, 64);
};

/** A rotate of 8 or 16 bits: the value is repeated within 32 bits. */
const replicate = (e: FunctionEmitter, old: number, width: Width): void => {
  const { code } = e;
  code.get(old);
  if (width === 8) code.i32(0x01010101).op(Op.i32Mul);
  else code.i32(0x00010001).op(Op.i32Mul);
};

const rotate =
  (left: boolean): Lifter =>
  (e) => {
    const count = shiftCount(e);
    const { width, old, write } = readDestination(e);
    if (width < 32) replicate(e, old, width);
    else e.code.get(old);
    pushSizedCount(e, count, width);
    e.sized(width, left ? Op.i32Rotl : Op.i32Rotr, left ? Op.i64Rotl : Op.i64Rotr);
    e.mask(width);
    const result = e.keep(width);
    write(result);
    updateRotateFlags(
      e,
      count,
      () => (left ? pushBit(e, result, width, 0) : topBit(e, result, width)),
      () => {
        topBit(e, result, width);
        pushBit(e, result, width, left ? 0 : width - 2);
        e.code.op(Op.i32Xor);
      },
    );
  };

/** Rotates through carry, 8 to 32 bits: the width + 1 bits lie in an i64. */
const rotateCarryNarrow = (
  e: FunctionEmitter,
  left: boolean,
  old: number,
  carry: number,
  count: Count,
  width: Width,
) => {
  const { code } = e;
  const bits = BigInt(width + 1);
  const pushModulo = (): void => {
    pushCount(e, count);
    code
      .i32(width + 1)
      .op(Op.i32RemU)
      .op(Op.i64ExtendI32U);
  };
  code.get(old).op(Op.i64ExtendI32U).get(carry).op(Op.i64ExtendI32U).i64(BigInt(width)).op(Op.i64Shl).op(Op.i64Or);
  const value = e.keep(64);
  code.get(value);
  pushModulo();
  code.op(left ? Op.i64Shl : Op.i64ShrU);
  code.get(value).i64(bits);
  pushModulo();
  code
    .op(Op.i64Sub)
    .op(left ? Op.i64ShrU : Op.i64Shl)
    .op(Op.i64Or);
  return e.keep(64);
};

/** Rotates 64 bits through carry; a count of 0 is handled by the caller. Pushes the result. */
const rotateCarryWide = (e: FunctionEmitter, left: boolean, old: number, carry: number, count: Count): void => {
  const { code } = e;
  const [towards, back] = left ? [Op.i64Shl, Op.i64ShrU] : [Op.i64ShrU, Op.i64Shl];
  code.get(old);
  pushSizedCount(e, count, 64);
  code.op(towards).get(carry).op(Op.i64ExtendI32U);
  if (left) beforeLast(e, count, 64);
  else pushRemainder(e, 64, count, 64);
  code.op(Op.i64Shl).op(Op.i64Or);
  code.get(old).i64(1n).op(back);
  pushRemainder(e, 64, count, 64);
  code.op(back).op(Op.i64Or);
};

const rotateCarry =
  (left: boolean): Lifter =>
  (e) => {
    e.pushCarry();
    const carryIn = e.keep(32);
    const count = shiftCount(e);
    const { width, old, write } = readDestination(e);
    const { code } = e;
    const carryOut = e.scratch(I32);
    if (width < 64) {
      const value = rotateCarryNarrow(e, left, old, carryIn, count, width);
      code.get(value).i64(BigInt(width)).op(Op.i64ShrU).op(Op.i32WrapI64).i32(1).op(Op.i32And).set(carryOut);
      code.get(value).op(Op.i32WrapI64);
      e.mask(width);
    } else {
      rotateCarryWide(e, left, old, carryIn, count);
      code.get(old);
      pushCount(e, count);
      code.op(Op.select);
      code.get(old);
      if (left) pushRemainder(e, 64, count, 64);
      else beforeLast(e, count, 64);
      code.op(Op.i64ShrU).op(Op.i32WrapI64).i32(1).op(Op.i32And).set(carryOut);
    }
    const result = e.keep(width);
    write(result);
    updateRotateFlags(
      e,
      count,
      () => code.get(carryOut),
      () => {
        topBit(e, result, width);
        if (left) code.get(carryOut);
        else pushBit(e, result, width, width - 2);
        code.op(Op.i32Xor);
      },
    );
  };

/** shld, shrd: bits of operand 1 move into operand 0. */
const doubleShift =
  (left: boolean): Lifter =>
  (e) => {
    const first = e.operand(0);
    const width: Width = first.kind === 'register' || first.kind === 'memory' ? first.width : 64;
    const count = readCount(e, e.operand(2), width);
    e.read(e.operand(1), width);
    const filler = e.keep(width);
    const { old, write } = readDestination(e);
    if (width === 64) pushDouble64(e, left, old, filler, count);
    else pushDoubleNarrow(e, left, old, filler, count, width);
    const result = e.keep(width);
    write(result);
    const form = left ? LEFT : RIGHT;
    updateShiftFlags(e, count, width, () => {
      form.carry(e, old, count, width);
      topBit(e, result, width);
      topBit(e, old, width);
      e.code.op(Op.i32Xor).i32(1).op(Op.i32Shl).op(Op.i32Or).op(Op.i64ExtendI32U).set(e.flagB);
      flagFrom(e, e.flagA, result, width);
    });
  };

const pushDouble64 = (e: FunctionEmitter, left: boolean, old: number, filler: number, count: Count): void => {
  const [towards, back] = left ? [Op.i64Shl, Op.i64ShrU] : [Op.i64ShrU, Op.i64Shl];
  e.code.get(old);
  pushSizedCount(e, count, 64);
  e.code.op(towards).get(filler).i64(1n).op(back);
  pushRemainder(e, 63, count, 64);
  e.code.op(back).op(Op.i64Or);
};

const pushDoubleNarrow = (
  e: FunctionEmitter,
  left: boolean,
  old: number,
  filler: number,
  count: Count,
  width: Width,
): void => {
  const { code } = e;
  const [high, low] = left ? [old, filler] : [filler, old];
  code.get(high).op(Op.i64ExtendI32U).i64(BigInt(width)).op(Op.i64Shl);
  code.get(low).op(Op.i64ExtendI32U).op(Op.i64Or);
  pushSizedCount(e, count, 64);
  code.op(left ? Op.i64Shl : Op.i64ShrU);
  if (left) code.i64(BigInt(width)).op(Op.i64ShrU);
  code.op(Op.i32WrapI64);
  e.mask(width);
};

export const SHIFTS: readonly (readonly [Mnemonic, Lifter])[] = [
  [Mnemonic.Shl, shift(LEFT)],
  [Mnemonic.Sal, shift(LEFT)],
  [Mnemonic.Shr, shift(RIGHT)],
  [Mnemonic.Sar, shift(ARITHMETIC_RIGHT)],
  [Mnemonic.Rol, rotate(true)],
  [Mnemonic.Ror, rotate(false)],
  [Mnemonic.Rcl, rotateCarry(true)],
  [Mnemonic.Rcr, rotateCarry(false)],
  [Mnemonic.Shld, doubleShift(true)],
  [Mnemonic.Shrd, doubleShift(false)],
];
