import { Mnemonic } from 'iced-x86';
import type { Operand, Width } from '../decode.js';
import { FlagOperation } from '../flags.js';
import { Op } from '../wasm-writer.js';
import type { FunctionEmitter, Place } from './function-emitter.js';
import type { Lifter } from './lifter.js';

export const widthOf = (operand: Operand): Width => {
  if (operand.kind === 'register' || operand.kind === 'memory') return operand.width;
  throw new Error(`an operand of kind ${operand.kind} has no width`);
};

/** A destination that is read before it is written: `old` is a local with its value. */
export interface Destination {
  readonly width: Width;
  readonly old: number;
  /** Stores the value of a local. */
  write(local: number): void;
}

/** Reads operand 0, to be written later; a memory operand is checked for writing first. */
export const readDestination = (e: FunctionEmitter): Destination => {
  const operand = e.operand(0);
  const width = widthOf(operand);
  if (operand.kind === 'register') {
    e.readRegister(operand);
    const old = e.keep(width);
    return {
      width,
      old,
      write: (local) => {
        e.code.get(local);
        e.writeRegister(operand);
      },
    };
  }
  const place = e.accessOperand(width / 8, true);
  e.load(place, width);
  const old = e.keep(width);
  return { width, old, write: (local) => e.store(place, width, () => e.code.get(local)) };
};

/** Sets a flag local from a local of the width's type. */
export const flagFrom = (e: FunctionEmitter, flag: number, local: number, width: Width): void => {
  e.code.get(local);
  e.setFlagValue(flag, width);
};

const setResultFlags = (e: FunctionEmitter, operation: FlagOperation, width: Width, a: number, b?: number): void => {
  flagFrom(e, e.flagA, a, width);
  if (b !== undefined) flagFrom(e, e.flagB, b, width);
  e.setFlags(operation, width);
};

const SUBTRACTIONS: { readonly narrow: number; readonly wide: number } = { narrow: Op.i32Sub, wide: Op.i64Sub };
const ADDITIONS: { readonly narrow: number; readonly wide: number } = { narrow: Op.i32Add, wide: Op.i64Add };

const additive =
  (operation: FlagOperation, ops: { readonly narrow: number; readonly wide: number }): Lifter =>
  (e) => {
    const { source, destination } = readBoth(e);
    const { width, old } = destination;
    e.code.get(old).get(source);
    e.sized(width, ops.narrow, ops.wide);
    e.mask(width);
    const result = e.keep(width);
    destination.write(result);
    setResultFlags(e, operation, width, old, source);
  };

/** Operand 0 as a destination and operand 1 as a source of the same width. A memory source is checked first. */
const readBoth = (e: FunctionEmitter): { destination: Destination; source: number } => {
  const width = widthOf(e.operand(0));
  e.read(e.operand(1), width);
  const source = e.keep(width);
  return { source, destination: readDestination(e) };
};

const compare: Lifter = (e) => {
  const width = widthOf(e.operand(0));
  e.read(e.operand(0), width);
  const a = e.keep(width);
  e.read(e.operand(1), width);
  const b = e.keep(width);
  setResultFlags(e, FlagOperation.sub, width, a, b);
};

const test: Lifter = (e) => {
  const width = widthOf(e.operand(0));
  e.read(e.operand(0), width);
  e.read(e.operand(1), width);
  e.sized(width, Op.i32And, Op.i64And);
  setResultFlags(e, FlagOperation.logic, width, e.keep(width));
};

const logical =
  (narrow: number, wide: number): Lifter =>
  (e) => {
    const { source, destination } = readBoth(e);
    const { width, old } = destination;
    e.code.get(old).get(source);
    e.sized(width, narrow, wide);
    const result = e.keep(width);
    destination.write(result);
    setResultFlags(e, FlagOperation.logic, width, result);
  };

/** adc, sbb: carry, overflow and auxiliary carry are computed at once and packed. */
const withCarry =
  (subtract: boolean): Lifter =>
  (e) => {
    e.pushCarry();
    const carry = e.keep(32);
    const { source, destination } = readBoth(e);
    const { width, old } = destination;
    const { code } = e;
    const wide = width === 64;
    code.get(old).get(source);
    e.sized(width, subtract ? Op.i32Sub : Op.i32Add, subtract ? Op.i64Sub : Op.i64Add);
    code.get(carry);
    if (wide) code.op(Op.i64ExtendI32U);
    e.sized(width, subtract ? Op.i32Sub : Op.i32Add, subtract ? Op.i64Sub : Op.i64Add);
    e.mask(width);
    const result = e.keep(width);
    destination.write(result);
    packCarryFlags(e, width, old, source, result, subtract);
    flagFrom(e, e.flagA, result, width);
    e.setFlags(FlagOperation.bits, width);
  };

/**
 * flagB = CF ∣ OF·2 ∣ AF·4 of a ± b ± carry.
 * add: carry out = a·b ∣ (a ∣ b)·¬r; subtract: borrow = ¬a·b ∣ ¬(a ⊕ b)·r; each at the top bit.
 */
const packCarryFlags = (
  e: FunctionEmitter,
  width: Width,
  a: number,
  b: number,
  result: number,
  subtract: boolean,
): void => {
  const { code } = e;
  const bits = (narrow: number, wide: number): void => e.sized(width, narrow, wide);
  const and = (): void => bits(Op.i32And, Op.i64And);
  const or = (): void => bits(Op.i32Or, Op.i64Or);
  const xor = (): void => bits(Op.i32Xor, Op.i64Xor);
  const ones = (): void => e.constant(-1n, width === 64 ? 64 : 32);
  const top = (): void => {
    if (width === 64) code.i64(63n).op(Op.i64ShrU).op(Op.i32WrapI64);
    else
      code
        .i32(width - 1)
        .op(Op.i32ShrU)
        .i32(1)
        .op(Op.i32And);
  };
  if (subtract) {
    code.get(a);
    ones();
    xor();
    code.get(b);
    and();
    code.get(a).get(b);
    xor();
    ones();
    xor();
    code.get(result);
    and();
    or();
  } else {
    code.get(a).get(b);
    and();
    code.get(a).get(b);
    or();
    code.get(result);
    ones();
    xor();
    and();
    or();
  }
  top();
  code.get(a).get(subtract ? b : result);
  xor();
  code.get(subtract ? a : b).get(result);
  xor();
  and();
  top();
  code.i32(1).op(Op.i32Shl).op(Op.i32Or);
  code.get(a).get(b);
  xor();
  code.get(result);
  xor();
  if (width === 64) code.op(Op.i32WrapI64);
  code.i32(0x10).op(Op.i32And).i32(2).op(Op.i32ShrU).op(Op.i32Or);
  code.op(Op.i64ExtendI32U).set(e.flagB);
};

const step =
  (down: boolean): Lifter =>
  (e) => {
    e.pushCarry();
    const carry = e.keep(32);
    const { width, old, write } = readDestination(e);
    e.code.get(old);
    e.constant(1n, width);
    e.sized(width, down ? Op.i32Sub : Op.i32Add, down ? Op.i64Sub : Op.i64Add);
    e.mask(width);
    const result = e.keep(width);
    write(result);
    e.code.get(carry).op(Op.i64ExtendI32U).set(e.flagB);
    flagFrom(e, e.flagA, result, width);
    e.setFlags(down ? FlagOperation.decrement : FlagOperation.increment, width);
  };

const negate: Lifter = (e) => {
  const { width, old, write } = readDestination(e);
  e.constant(0n, width);
  e.code.get(old);
  e.sized(width, Op.i32Sub, Op.i64Sub);
  e.mask(width);
  write(e.keep(width));
  e.code.i64(0n).set(e.flagA);
  flagFrom(e, e.flagB, old, width);
  e.setFlags(FlagOperation.sub, width);
};

const invert: Lifter = (e) => {
  const { width, old, write } = readDestination(e);
  e.code.get(old);
  e.constant(-1n, width === 64 ? 64 : 32);
  e.sized(width, Op.i32Xor, Op.i64Xor);
  e.mask(width);
  write(e.keep(width));
};

/** xadd: the sum goes to operand 0, its old value to operand 1. */
const exchangeAdd: Lifter = (e) => {
  const { source, destination } = readBoth(e);
  const { width, old } = destination;
  e.code.get(old).get(source);
  e.sized(width, Op.i32Add, Op.i64Add);
  e.mask(width);
  const sum = e.keep(width);
  const second = e.operand(1);
  const sameRegister = e.operand(0).kind === 'register';
  if (second.kind !== 'register') throw new Error('the second operand of xadd is a register');
  if (!sameRegister) destination.write(sum);
  e.code.get(old);
  e.writeRegister(second);
  if (sameRegister) destination.write(sum);
  setResultFlags(e, FlagOperation.add, width, old, source);
};

const exchange: Lifter = (e) => {
  const second = e.operand(1);
  const first = e.operand(0);
  if (second.kind !== 'register') {
    if (first.kind !== 'register') throw new Error('xchg has a register operand');
    exchangeWith(e, first, e.accessOperand(first.width / 8, true));
    return;
  }
  if (first.kind === 'memory') {
    exchangeWith(e, second, e.accessOperand(second.width / 8, true));
    return;
  }
  if (first.kind !== 'register') throw new Error('xchg has a register operand');
  e.readRegister(first);
  const a = e.keep(first.width);
  e.readRegister(second);
  e.writeRegister(first);
  e.code.get(a);
  e.writeRegister(second);
};

const exchangeWith = (e: FunctionEmitter, register: Operand & { kind: 'register' }, place: Place): void => {
  e.load(place, register.width);
  const old = e.keep(register.width);
  e.store(place, register.width, () => e.readRegister(register));
  e.code.get(old);
  e.writeRegister(register);
};

const ACCUMULATOR = 0;

const accumulator = (width: Width): Operand & { kind: 'register' } => ({
  kind: 'register',
  register: ACCUMULATOR,
  width,
  high: false,
});

/**
 * cmpxchg: memory is always written, with the old value when the comparison fails (SDM vol. 2); of two registers only one is
 * written, which shows in the upper half of 32-bit operands.
 */
const compareExchange: Lifter = (e) => {
  const { source, destination } = readBoth(e);
  const { width, old } = destination;
  const { code } = e;
  const first = e.operand(0);
  e.readRegister(accumulator(width));
  const expected = e.keep(width);
  code.get(expected).get(old);
  e.sized(width, Op.i32Eq, Op.i64Eq);
  const equal = e.keep(32);
  if (first.kind === 'register') {
    writeWhen(e, first, equal, true, source);
  } else {
    code.get(source).get(old).get(equal).op(Op.select);
    destination.write(e.keep(width));
  }
  const accumulatorIsDestination = first.kind === 'register' && first.register === ACCUMULATOR && !first.high;
  if (!accumulatorIsDestination) writeWhen(e, accumulator(width), equal, false, old);
  setResultFlags(e, FlagOperation.sub, width, expected, old);
};

/** Writes a register only when an i32 local is not 0 (`when`), or is 0; otherwise not a bit of it changes. */
const writeWhen = (
  e: FunctionEmitter,
  operand: Operand & { kind: 'register' },
  condition: number,
  when: boolean,
  value: number,
): void => {
  e.gpr(operand.register);
  const before = e.keep(64);
  e.code.get(value);
  e.writeRegister(operand);
  const written = e.gprLocal(operand.register);
  if (when) e.code.get(written).get(before);
  else e.code.get(before).get(written);
  e.code.get(condition).op(Op.select);
  e.setGpr(operand.register);
};

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;

/** cmpxchg8b: edx:eax against m64; ecx:ebx is stored. Only ZF changes. */
const compareExchange8: Lifter = (e) => {
  const { code } = e;
  const place = e.accessOperand(8, true);
  const pair = (high: number, low: number): void => {
    e.gpr(high);
    code.i64(32n).op(Op.i64Shl);
    e.gpr(low);
    code.i64(0xffffffffn).op(Op.i64And).op(Op.i64Or);
  };
  e.load(place, 64);
  const old = e.keep(64);
  pair(RDX, RAX);
  code.get(old).op(Op.i64Eq);
  const equal = e.keep(32);
  e.store(place, 64, () => {
    pair(RCX, RBX);
    code.get(old).get(equal).op(Op.select);
  });
  setUnlessEqual(e, RAX, equal, () => code.get(old).i64(0xffffffffn).op(Op.i64And));
  setUnlessEqual(e, RDX, equal, () => code.get(old).i64(32n).op(Op.i64ShrU));
  setZeroFlag(e, equal);
};

const setUnlessEqual = (e: FunctionEmitter, register: number, equal: number, value: () => void): void => {
  e.gpr(register);
  value();
  e.code.get(equal).op(Op.select);
  e.setGpr(register);
};

const ZF_BIT = 6;

const setZeroFlag = (e: FunctionEmitter, equal: number): void => {
  e.pushFlags();
  e.code.i32(~(1 << ZF_BIT)).op(Op.i32And);
  e.code.get(equal).i32(ZF_BIT).op(Op.i32Shl).op(Op.i32Or).op(Op.i64ExtendI32U).set(e.flagA);
  e.setFlags(FlagOperation.explicit, 64);
};

const GENERAL_PROTECTION = 13;

/** cmpxchg16b: rdx:rax against m128, which must be aligned. */
const compareExchange16: Lifter = (e) => {
  const { code } = e;
  const address = (): void => {
    e.effectiveAddress();
    e.addSegmentBase(e.insn.memory?.segment ?? -1, 16);
  };
  address();
  code.op(Op.i32WrapI64).i32(15).op(Op.i32And);
  e.faultIf(GENERAL_PROTECTION);
  address();
  const place = e.accessAddress(16, true);
  const upper: Place = { local: place.local, offset: place.offset + 8 };
  e.load(place, 64);
  const low = e.keep(64);
  e.load(upper, 64);
  const high = e.keep(64);
  e.gpr(RAX);
  code.get(low).op(Op.i64Eq);
  e.gpr(RDX);
  code.get(high).op(Op.i64Eq).op(Op.i32And);
  const equal = e.keep(32);
  code.get(upper.local);
  e.gpr(RCX);
  code.get(high).get(equal).op(Op.select).memory(Op.i64Store, upper.offset);
  e.store(place, 64, () => {
    e.gpr(RBX);
    code.get(low).get(equal).op(Op.select);
  });
  setUnlessEqual(e, RAX, equal, () => code.get(low));
  setUnlessEqual(e, RDX, equal, () => code.get(high));
  setZeroFlag(e, equal);
};

/** cbw, cwde, cdqe: the accumulator's lower half is sign-extended. */
const widenAccumulator =
  (to: Width): Lifter =>
  (e) => {
    e.gpr(ACCUMULATOR);
    if (to === 64) {
      e.code.op(Op.i64Extend32S);
      e.setGpr(ACCUMULATOR);
      return;
    }
    e.code.op(Op.i32WrapI64).op(to === 32 ? Op.i32Extend16S : Op.i32Extend8S);
    e.mask(to);
    e.writeRegister(accumulator(to));
  };

/** cwd, cdq, cqo: rdx becomes the accumulator's sign. */
const signToData =
  (width: Width): Lifter =>
  (e) => {
    e.gpr(ACCUMULATOR);
    if (width === 64) {
      e.code.i64(63n).op(Op.i64ShrS);
      e.setGpr(RDX);
      return;
    }
    e.code.op(Op.i32WrapI64);
    if (width === 16) e.code.op(Op.i32Extend16S);
    e.code.i32(31).op(Op.i32ShrS);
    e.mask(width);
    e.writeRegister({ kind: 'register', register: RDX, width, high: false });
  };

export const ARITHMETIC: readonly (readonly [Mnemonic, Lifter])[] = [
  [Mnemonic.Add, additive(FlagOperation.add, ADDITIONS)],
  [Mnemonic.Sub, additive(FlagOperation.sub, SUBTRACTIONS)],
  [Mnemonic.Adc, withCarry(false)],
  [Mnemonic.Sbb, withCarry(true)],
  [Mnemonic.And, logical(Op.i32And, Op.i64And)],
  [Mnemonic.Or, logical(Op.i32Or, Op.i64Or)],
  [Mnemonic.Xor, logical(Op.i32Xor, Op.i64Xor)],
  [Mnemonic.Cmp, compare],
  [Mnemonic.Test, test],
  [Mnemonic.Inc, step(false)],
  [Mnemonic.Dec, step(true)],
  [Mnemonic.Neg, negate],
  [Mnemonic.Not, invert],
  [Mnemonic.Xadd, exchangeAdd],
  [Mnemonic.Xchg, exchange],
  [Mnemonic.Cmpxchg, compareExchange],
  [Mnemonic.Cmpxchg8b, compareExchange8],
  [Mnemonic.Cmpxchg16b, compareExchange16],
  [Mnemonic.Cbw, widenAccumulator(16)],
  [Mnemonic.Cwde, widenAccumulator(32)],
  [Mnemonic.Cdqe, widenAccumulator(64)],
  [Mnemonic.Cwd, signToData(16)],
  [Mnemonic.Cdq, signToData(32)],
  [Mnemonic.Cqo, signToData(64)],
];
