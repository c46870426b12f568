import { Mnemonic } from 'iced-x86';
import { type Operand, type Width } from '../decode.js';
import { FlagOperation } from '../flags.js';
import { Op } from '../wasm-writer.js';
import { flagFrom, readDestination, widthOf } from './arithmetic.js';
import type { FunctionEmitter, Place } from './function-emitter.js';
import type { Lifter } from './lifter.js';

const LOG_BYTES: Readonly<Record<Width, bigint>> = { 8: 0n, 16: 1n, 32: 2n, 64: 3n };

/** Adds the bytes by which a register bit offset moves the operand: whole operands, signed (SDM vol. 2, BT). */
const addBitDisplacement = (e: FunctionEmitter, offset: Operand & { kind: 'register' }, width: Width): void => {
  const { code } = e;
  e.readRegister(offset);
  if (width < 64) {
    if (width === 16) code.op(Op.i32Extend16S);
    code.op(Op.i64ExtendI32S);
  }
  code.i64(BigInt(Math.log2(width))).op(Op.i64ShrS);
  code.i64(LOG_BYTES[width]).op(Op.i64Shl).op(Op.i64Add);
};

/** Checks the operand of bt and its family; a register bit offset reaches beyond the addressed datum. */
const bitOperand = (e: FunctionEmitter, width: Width, writes: boolean): Place => {
  const offset = e.operand(1);
  if (offset.kind !== 'register') return e.accessOperand(width / 8, writes);
  e.effectiveAddress();
  addBitDisplacement(e, offset, width);
  e.wrap();
  e.addSegmentBase(e.insn.memory?.segment ?? -1, width / 8);
  return e.accessAddress(width / 8, writes);
};

/** Pushes the bit's index within the operand, in the width's type. */
const keepBitIndex = (e: FunctionEmitter, width: Width): number => {
  e.read(e.operand(1), width);
  e.constant(BigInt(width - 1), width);
  e.sized(width, Op.i32And, Op.i64And);
  return e.keep(width);
};

/** CF = the bit; ZF stays, the other flags are undefined (SDM vol. 2, BT). */
const setBitFlags = (e: FunctionEmitter, value: number, index: number, width: Width): void => {
  const { code } = e;
  e.flagReader.zero(e.knownFlags());
  code.op(Op.i32Eqz).op(Op.i64ExtendI32U).set(e.flagA);
  code.get(value).get(index);
  e.sized(width, Op.i32ShrU, Op.i64ShrU);
  if (width !== 64) code.op(Op.i64ExtendI32U);
  code.i64(1n).op(Op.i64And).set(e.flagB);
  e.setFlags(FlagOperation.bits, 64);
};

type BitChange = (e: FunctionEmitter, width: Width) => void;

const bitTest =
  (change: BitChange | undefined): Lifter =>
  (e) => {
    const operand = e.operand(0);
    const width = widthOf(operand);
    const index = keepBitIndex(e, width);
    const place = operand.kind === 'memory' ? bitOperand(e, width, change !== undefined) : undefined;
    if (place !== undefined) e.load(place, width);
    else e.read(operand, width);
    const old = e.keep(width);
    if (change !== undefined) {
      e.code.get(old);
      e.constant(1n, width);
      e.code.get(index);
      e.sized(width, Op.i32Shl, Op.i64Shl);
      change(e, width);
      e.mask(width);
      const result = e.keep(width);
      if (place !== undefined) e.store(place, width, () => e.code.get(result));
      else if (operand.kind === 'register') {
        e.code.get(result);
        e.writeRegister(operand);
      }
    }
    setBitFlags(e, old, index, width);
  };

const setBit: BitChange = (e, width) => e.sized(width, Op.i32Or, Op.i64Or);
const complementBit: BitChange = (e, width) => e.sized(width, Op.i32Xor, Op.i64Xor);
const resetBit: BitChange = (e, width) => {
  e.constant(-1n, width === 64 ? 64 : 32);
  e.sized(width, Op.i32Xor, Op.i64Xor);
  e.sized(width, Op.i32And, Op.i64And);
};

/** Operand 1 as a local, operand 0 as the register written. */
const readScan = (e: FunctionEmitter): { width: Width; source: number; target: Operand & { kind: 'register' } } => {
  const target = e.operand(0);
  if (target.kind !== 'register') throw new Error('bit scans write a register');
  e.read(e.operand(1), target.width);
  return { width: target.width, source: e.keep(target.width), target };
};

/** bsf, bsr: a zero source leaves the destination alone and sets ZF. */
const bitScan =
  (reverse: boolean): Lifter =>
  (e) => {
    const { width, source, target } = readScan(e);
    const { code } = e;
    e.gpr(target.register);
    const before = e.keep(64);
    code.get(source);
    if (reverse) {
      e.sized(width, Op.i32Clz, Op.i64Clz);
      e.constant(width === 64 ? 63n : 31n, width === 64 ? 64 : 32);
      e.sized(width, Op.i32Xor, Op.i64Xor);
    } else e.sized(width, Op.i32Ctz, Op.i64Ctz);
    e.mask(width);
    e.writeRegister(target);
    e.gpr(target.register);
    code.get(before).get(source);
    pushNotZero(e, width);
    code.op(Op.select);
    e.setGpr(target.register);
    flagFrom(e, e.flagA, source, width);
    e.setFlags(FlagOperation.logic, width);
  };

/** Turns the value on the stack into i32 1 when it is not 0. */
const pushNotZero = (e: FunctionEmitter, width: Width): void => {
  e.sized(width, Op.i32Eqz, Op.i64Eqz);
  e.code.op(Op.i32Eqz);
};

/** tzcnt, lzcnt: CF = source is 0, ZF = result is 0. */
const countZeros =
  (leading: boolean): Lifter =>
  (e) => {
    const { width, source, target } = readScan(e);
    const { code } = e;
    code.get(source);
    if (leading) {
      e.sized(width, Op.i32Clz, Op.i64Clz);
      if (width === 16) code.i32(16).op(Op.i32Sub);
    } else {
      if (width === 16) code.i32(0x10000).op(Op.i32Or);
      e.sized(width, Op.i32Ctz, Op.i64Ctz);
    }
    const result = e.keep(width);
    code.get(result);
    e.writeRegister(target);
    code.get(source);
    e.sized(width, Op.i32Eqz, Op.i64Eqz);
    code.op(Op.i64ExtendI32U).set(e.flagB);
    flagFrom(e, e.flagA, result, width);
    e.setFlags(FlagOperation.bits, width);
  };

const ZF_SHIFT = 6n;

const populationCount: Lifter = (e) => {
  const { width, source, target } = readScan(e);
  const { code } = e;
  code.get(source);
  e.sized(width, Op.i32Popcnt, Op.i64Popcnt);
  e.writeRegister(target);
  code.get(source);
  e.sized(width, Op.i32Eqz, Op.i64Eqz);
  code.op(Op.i64ExtendI32U).i64(ZF_SHIFT).op(Op.i64Shl).set(e.flagA);
  e.setFlags(FlagOperation.explicit, 64);
};

/** Pushes the value of a local with its bytes reversed. */
export const reverseBytes = (e: FunctionEmitter, local: number, width: Width): void => {
  const { code } = e;
  if (width === 16) {
    code.get(local).i32(8).op(Op.i32ShrU).get(local).i32(8).op(Op.i32Shl).op(Op.i32Or);
    e.mask(16);
    return;
  }
  if (width === 32) {
    code.get(local).i32(8).op(Op.i32Rotl).i32(0x00ff00ff).op(Op.i32And);
    code.get(local).i32(8).op(Op.i32Rotr).i32(0xff00ff00).op(Op.i32And).op(Op.i32Or);
    return;
  }
  const swapPairs = (from: number, mask: bigint, shift: bigint): void => {
    code.get(from).i64(mask).op(Op.i64And).i64(shift).op(Op.i64Shl);
    code.get(from).i64(shift).op(Op.i64ShrU).i64(mask).op(Op.i64And).op(Op.i64Or);
  };
  swapPairs(local, 0x00ff00ff00ff00ffn, 8n);
  const bytes = e.keep(64);
  swapPairs(bytes, 0x0000ffff0000ffffn, 16n);
  code.i64(32n).op(Op.i64Rotl);
};

/** bswap; of a 16-bit register undefined: cleared, as current processors do. */
const byteSwap: Lifter = (e) => {
  const { width, old, write } = readDestination(e);
  if (width === 16) e.code.i32(0);
  else reverseBytes(e, old, width);
  write(e.keep(width));
};

export const BITS: readonly (readonly [Mnemonic, Lifter])[] = [
  [Mnemonic.Bt, bitTest(undefined)],
  [Mnemonic.Bts, bitTest(setBit)],
  [Mnemonic.Btr, bitTest(resetBit)],
  [Mnemonic.Btc, bitTest(complementBit)],
  [Mnemonic.Bsf, bitScan(false)],
  [Mnemonic.Bsr, bitScan(true)],
  [Mnemonic.Tzcnt, countZeros(false)],
  [Mnemonic.Lzcnt, countZeros(true)],
  [Mnemonic.Popcnt, populationCount],
  [Mnemonic.Bswap, byteSwap],
];
