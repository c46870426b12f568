import { Mnemonic } from 'iced-x86';
import type { Operand, Width } from '../decode.js';
import { FlagOperation } from '../flags.js';
import { pushHigh } from '../multiply-high.js';
import { STATE } from '../state-layout.js';
import { I32, I64, Op } from '../wasm-writer.js';
import { flagFrom, widthOf } from './arithmetic.js';
import type { FunctionEmitter } from './function-emitter.js';
import type { Lifter } from './lifter.js';

const RAX = 0;
const RDX = 2;
const DIVIDE_ERROR = 0;

const low = (register: number, width: Width): Operand & { kind: 'register' } => ({
  kind: 'register',
  register,
  width,
  high: false,
});

const AH: Operand & { kind: 'register' } = { kind: 'register', register: RAX, width: 8, high: true };

/** Pushes the i32 on the stack as i64, signed or not, at its width. */
const extend = (e: FunctionEmitter, width: Width, signed: boolean): void => {
  if (signed && width === 8) e.code.op(Op.i32Extend8S);
  if (signed && width === 16) e.code.op(Op.i32Extend16S);
  e.code.op(signed ? Op.i64ExtendI32S : Op.i64ExtendI32U);
};

/** mul and the one-operand imul: rdx:rax = rax · operand. CF = OF = the upper half is no extension of the lower. */
const multiply =
  (signed: boolean): Lifter =>
  (e) => {
    const width = widthOf(e.operand(0));
    if (width === 64) multiply64(e, signed);
    else multiplyNarrow(e, width, signed);
  };

const multiplyNarrow = (e: FunctionEmitter, width: Width, signed: boolean): void => {
  const { code } = e;
  e.read(e.operand(0), width);
  extend(e, width, signed);
  e.readRegister(low(RAX, width));
  extend(e, width, signed);
  code.op(Op.i64Mul);
  const product = e.keep(64);
  const half = (shift: number, into: Operand & { kind: 'register' }): void => {
    code.get(product).i64(BigInt(shift)).op(Op.i64ShrU).op(Op.i32WrapI64);
    e.mask(width);
    e.writeRegister(into);
  };
  half(0, low(RAX, width));
  half(width, width === 8 ? AH : low(RDX, width));
  code.get(product);
  code.get(product);
  truncate(e, width, signed);
  code.op(Op.i64Ne);
  setCarryOverflow(e);
  code
    .get(product)
    .i64((1n << BigInt(width)) - 1n)
    .op(Op.i64And)
    .set(e.flagA);
  e.setFlags(FlagOperation.bits, width);
};

/** Extends the lower `width` bits of the i64 on the stack. */
const truncate = (e: FunctionEmitter, width: Width, signed: boolean): void => {
  if (!signed) e.code.i64((1n << BigInt(width)) - 1n).op(Op.i64And);
  else e.code.op(width === 8 ? Op.i64Extend8S : width === 16 ? Op.i64Extend16S : Op.i64Extend32S);
};

/** flagB from the i32 on the stack: CF = OF. */
const setCarryOverflow = (e: FunctionEmitter): void => {
  e.code.i32(3).op(Op.i32Mul).op(Op.i64ExtendI32U).set(e.flagB);
};

const multiply64 = (e: FunctionEmitter, signed: boolean): void => {
  const { code } = e;
  e.read(e.operand(0), 64);
  const a = e.keep(64);
  e.gpr(RAX);
  const b = e.keep(64);
  pushHigh(e.code, () => e.scratch(I64), a, b, signed);
  const high = e.keep(64);
  code.get(a).get(b).op(Op.i64Mul);
  const lower = e.keep(64);
  code.get(lower);
  e.setGpr(RAX);
  code.get(high);
  e.setGpr(RDX);
  code.get(high);
  if (signed) code.get(lower).i64(63n).op(Op.i64ShrS);
  else code.i64(0n);
  code.op(Op.i64Ne);
  setCarryOverflow(e);
  code.get(lower).set(e.flagA);
  e.setFlags(FlagOperation.bits, 64);
};

/** imul with two or three operands; the flags are computed only when asked for. */
const multiplyTruncated: Lifter = (e) => {
  const destination = e.operand(0);
  if (e.insn.operands.length === 1) {
    multiply(true)(e);
    return;
  }
  if (destination.kind !== 'register') throw new Error('imul writes a register');
  const { width } = destination;
  const three = e.insn.operands.length === 3;
  e.read(e.operand(1), width);
  const a = e.keep(width);
  e.read(three ? e.operand(2) : destination, width);
  const b = e.keep(width);
  e.code.get(a).get(b);
  e.sized(width, Op.i32Mul, Op.i64Mul);
  e.mask(width);
  e.writeRegister(destination);
  flagFrom(e, e.flagA, a, width);
  flagFrom(e, e.flagB, b, width);
  e.setFlags(FlagOperation.multiply, width);
};

const divide =
  (signed: boolean): Lifter =>
  (e) => {
    const width = widthOf(e.operand(0));
    if (width === 64) divide64(e, signed);
    else divideNarrow(e, width, signed);
  };

/** Pushes the dividend of a narrow division as i64. */
const pushDividend = (e: FunctionEmitter, width: Width, signed: boolean): void => {
  if (width === 8) {
    e.readRegister(low(RAX, 16));
    extend(e, 16, signed);
    return;
  }
  e.readRegister(low(RDX, width));
  extend(e, width, signed);
  e.code.i64(BigInt(width)).op(Op.i64Shl);
  e.readRegister(low(RAX, width));
  e.code.op(Op.i64ExtendI32U).op(Op.i64Or);
};

const divideNarrow = (e: FunctionEmitter, width: Width, signed: boolean): void => {
  const { code } = e;
  e.read(e.operand(0), width);
  extend(e, width, signed);
  const divisor = e.keep(64);
  code.get(divisor).op(Op.i64Eqz);
  e.faultIf(DIVIDE_ERROR);
  pushDividend(e, width, signed);
  const dividend = e.keep(64);
  if (signed && width === 32) faultOnMinimum(e, dividend, divisor);
  code
    .get(dividend)
    .get(divisor)
    .op(signed ? Op.i64DivS : Op.i64DivU);
  const quotient = e.keep(64);
  code.get(quotient).get(quotient);
  truncate(e, width, signed);
  code.op(Op.i64Ne);
  e.faultIf(DIVIDE_ERROR);
  code
    .get(dividend)
    .get(divisor)
    .op(signed ? Op.i64RemS : Op.i64RemU)
    .op(Op.i32WrapI64);
  e.mask(width);
  const remainder = e.keep(32);
  code.get(quotient).op(Op.i32WrapI64);
  e.mask(width);
  e.writeRegister(low(RAX, width));
  code.get(remainder);
  e.writeRegister(width === 8 ? AH : low(RDX, width));
};

const MINIMUM = -(1n << 63n);

/** −2⁶³ ÷ −1 traps in WebAssembly; its quotient fits no width. */
const faultOnMinimum = (e: FunctionEmitter, dividend: number, divisor: number): void => {
  e.code.get(dividend).i64(MINIMUM).op(Op.i64Eq).get(divisor).i64(-1n).op(Op.i64Eq).op(Op.i32And);
  e.faultIf(DIVIDE_ERROR);
};

/** 128 by 64 bits: at once when the upper half only extends the lower one, else by the helper. */
const divide64 = (e: FunctionEmitter, signed: boolean): void => {
  const { code } = e;
  e.read(e.operand(0), 64);
  const divisor = e.keep(64);
  code.get(divisor).op(Op.i64Eqz);
  e.faultIf(DIVIDE_ERROR);
  e.ensure(RAX);
  e.ensure(RDX);
  const rax = e.gprLocal(RAX);
  const rdx = e.gprLocal(RDX);
  const quotient = e.scratch(I64);
  const remainder = e.scratch(I64);
  const overflow = e.scratch(I32);
  code.i32(0).set(overflow);
  code.get(rdx);
  if (signed) code.get(rax).i64(63n).op(Op.i64ShrS);
  else code.i64(0n);
  code.op(Op.i64Eq);
  if (signed) {
    code.get(rax).i64(MINIMUM).op(Op.i64Eq).get(divisor).i64(-1n).op(Op.i64Eq).op(Op.i32And).op(Op.i32Eqz);
    code.op(Op.i32And);
  }
  code.if();
  code
    .get(rax)
    .get(divisor)
    .op(signed ? Op.i64DivS : Op.i64DivU)
    .set(quotient);
  code
    .get(rax)
    .get(divisor)
    .op(signed ? Op.i64RemS : Op.i64RemU)
    .set(remainder);
  code.else();
  code
    .get(rdx)
    .get(rax)
    .get(divisor)
    .i32(signed ? 1 : 0)
    .call(e.context.helpers.divide)
    .set(overflow);
  code.loadAt(Op.i64Load, STATE.scratch0).set(quotient);
  code.loadAt(Op.i64Load, STATE.scratch1).set(remainder);
  code.end();
  code.get(overflow);
  e.faultIf(DIVIDE_ERROR);
  code.get(quotient);
  e.setGpr(RAX);
  code.get(remainder);
  e.setGpr(RDX);
};

export const MULTIPLICATIONS: readonly (readonly [Mnemonic, Lifter])[] = [
  [Mnemonic.Mul, multiply(false)],
  [Mnemonic.Imul, multiplyTruncated],
  [Mnemonic.Div, divide(false)],
  [Mnemonic.Idiv, divide(true)],
];
