import { type CodeWriter, Op } from './wasm-writer.js';

/** Pushes the upper 64 bits of the product of two i64 locals, from 32-bit halves (Hacker's Delight §8–2). */
export const pushHigh = (code: CodeWriter, newLocal: () => number, a: number, b: number, signed: boolean): void => {
  const shiftRight = signed ? Op.i64ShrS : Op.i64ShrU;
  const lowHalf = (local: number) => code.get(local).i64(0xffffffffn).op(Op.i64And);
  const highHalf = (local: number) => code.get(local).i64(32n).op(shiftRight);
  lowHalf(a);
  lowHalf(b);
  code.op(Op.i64Mul).i64(32n).op(Op.i64ShrU);
  highHalf(a);
  lowHalf(b);
  code.op(Op.i64Mul).op(Op.i64Add);
  const middle = newLocal();
  code.set(middle);
  lowHalf(middle);
  lowHalf(a);
  highHalf(b);
  code.op(Op.i64Mul).op(Op.i64Add).i64(32n).op(shiftRight);
  highHalf(middle);
  code.op(Op.i64Add);
  highHalf(a);
  highHalf(b);
  code.op(Op.i64Mul).op(Op.i64Add);
};
