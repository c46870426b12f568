import { Mnemonic } from 'iced-x86';
import type { Operand, Width } from '../decode.js';
import { AC, ARITHMETIC_FLAGS, DF, FlagOperation, ID, IF, IOPL, NT, OF, TF } from '../flags.js';
import { ExitReason, STATE, type StateField } from '../state-layout.js';
import { I64, Op } from '../wasm-writer.js';
import { widthOf } from './arithmetic.js';
import { reverseBytes } from './bits.js';
import type { FunctionEmitter } from './function-emitter.js';
import { conditional, type Lifter } from './lifter.js';

const RAX = 0;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const AH: Operand & { kind: 'register' } = { kind: 'register', register: RAX, width: 8, high: true };
const AL: Operand & { kind: 'register' } = { kind: 'register', register: RAX, width: 8, high: false };

const SELECTORS: readonly StateField[] = [
  'esSelector',
  'csSelector',
  'ssSelector',
  'dsSelector',
  'fsSelector',
  'gsSelector',
];

const selectorAddress = (register: number): number => {
  const field = SELECTORS[register];
  if (field === undefined) throw new RangeError(`no selector register ${register}`);
  return STATE[field];
};

/** Stores what `push` leaves on the stack (of the operand's width) in a register or memory operand. */
const write = (e: FunctionEmitter, operand: Operand, push: () => void): void => {
  if (operand.kind === 'register') {
    push();
    e.writeRegister(operand);
    return;
  }
  const width = widthOf(operand);
  const place = e.accessOperand(width / 8, true);
  e.store(place, width, push);
};

const move: Lifter = (e) => {
  const [to, from] = [e.operand(0), e.operand(1)];
  if (from.kind === 'segment') {
    readSelector(e, to, from.register);
    return;
  }
  if (from.kind === 'control' && !e.user && isPlainControl(from.register)) {
    e.code.loadAt(Op.i64Load, controlAddress(from.register));
    if (to.kind === 'register') e.setGpr(to.register);
    return;
  }
  if (e.bits === 32 && to.kind === 'segment') {
    loadSelector(e, to.register, () => e.read(from.kind === 'register' ? { ...from, width: 16 } : from, 16));
    return;
  }
  if (to.kind !== 'register' && to.kind !== 'memory') {
    e.endInSystem();
    return;
  }
  if (from.kind === 'control' || from.kind === 'debug') {
    e.endInSystem();
    return;
  }
  write(e, to, () => e.read(from, to.width));
};

/** Loads a selector register of 32-bit code with what `push` leaves; whatever is unusual is left to the run loop. */
const loadSelector = (e: FunctionEmitter, register: number, push: () => void): void => {
  push();
  const selector = e.keep(16);
  e.flushRegisters();
  e.code.i32(register).get(selector).call(e.context.helpers.loadSegment).op(Op.i32Eqz).ifUnlikely();
  e.leaveAtInstruction(ExitReason.system);
  e.code.end();
};

const CONTROL_FIELDS: Readonly<Record<number, StateField>> = { 0: 'cr0', 2: 'cr2', 3: 'cr3', 4: 'cr4' };

const isPlainControl = (register: number): boolean => CONTROL_FIELDS[register] !== undefined;

const controlAddress = (register: number): number => {
  const field = CONTROL_FIELDS[register];
  if (field === undefined) throw new RangeError(`no control register ${register}`);
  return STATE[field];
};

/** A selector is stored in 16 bits in memory, zero-extended in a register. */
const readSelector = (e: FunctionEmitter, to: Operand, register: number): void => {
  const push = (): void => {
    e.code.loadAt(Op.i32Load, selectorAddress(register));
  };
  if (to.kind === 'memory') {
    e.store(e.accessOperand(2, true), 16, push);
    return;
  }
  if (to.kind !== 'register') throw new Error('a selector goes to a register or to memory');
  push();
  if (to.width === 64) e.code.op(Op.i64ExtendI32U);
  e.writeRegister(to);
};

const extendMove =
  (signed: boolean): Lifter =>
  (e) => {
    const [to, from] = [e.operand(0), e.operand(1)];
    if (to.kind !== 'register') throw new Error('an extending move writes a register');
    const fromWidth = widthOf(from);
    e.read(from, fromWidth);
    if (signed && fromWidth === 8) e.code.op(Op.i32Extend8S);
    if (signed && fromWidth === 16) e.code.op(Op.i32Extend16S);
    if (to.width === 64) e.code.op(signed ? Op.i64ExtendI32S : Op.i64ExtendI32U);
    else e.mask(to.width);
    e.writeRegister(to);
  };

const loadAddress: Lifter = (e) => {
  const to = e.operand(0);
  if (to.kind !== 'register') throw new Error('lea writes a register');
  e.effectiveAddress();
  if (to.width !== 64) {
    e.code.op(Op.i32WrapI64);
    e.mask(to.width);
  }
  e.writeRegister(to);
};

const pushWidth = (e: FunctionEmitter): Width => (Math.abs(e.insn.stackIncrement) === 2 ? 16 : e.bits);

const addToStack = (e: FunctionEmitter, bytes: number): void => {
  e.gpr(RSP);
  e.addToAddress(bytes);
  e.setGpr(RSP);
};

/** Writes below the stack pointer and moves it. The value is read before the stack is touched. */
const pushValue = (e: FunctionEmitter, width: Width, push: () => void): void => {
  push();
  const value = e.keep(width);
  const place = e.accessRegister(RSP, -width / 8, width / 8, true);
  e.store(place, width, () => e.code.get(value));
  addToStack(e, -width / 8);
};

const push: Lifter = (e) => {
  const operand = e.operand(0);
  const width = pushWidth(e);
  pushValue(e, width, () => {
    if (operand.kind !== 'segment') {
      e.read(operand, width);
      return;
    }
    e.code.loadAt(Op.i32Load, selectorAddress(operand.register));
    if (width === 64) e.code.op(Op.i64ExtendI32U);
  });
};

const pop: Lifter = (e) => {
  const operand = e.operand(0);
  const width = pushWidth(e);
  if (operand.kind === 'segment') {
    popSelector(e, operand.register, width);
    return;
  }
  const place = e.accessRegister(RSP, 0, width / 8, false);
  e.load(place, width);
  const value = e.keep(width);
  if (operand.kind === 'memory') {
    popToMemory(e, width, value);
    return;
  }
  addToStack(e, width / 8);
  e.code.get(value);
  if (operand.kind === 'register') e.writeRegister(operand);
};

const popSelector = (e: FunctionEmitter, register: number, width: Width): void => {
  if (e.bits !== 32) {
    e.endInSystem();
    return;
  }
  loadSelector(e, register, () => {
    e.load(e.accessRegister(RSP, 0, width / 8, false), width);
    e.code.i32(0xffff).op(Op.i32And);
  });
  addToStack(e, width / 8);
};

/** The destination's address is computed after the stack pointer has moved (SDM vol. 2, POP). */
const popToMemory = (e: FunctionEmitter, width: Width, value: number): void => {
  const usesStackPointer = e.insn.memory?.base === RSP;
  e.effectiveAddress();
  if (usesStackPointer) e.addToAddress(width / 8);
  e.addSegmentBase(e.insn.memory?.segment ?? -1, width / 8);
  const place = e.accessAddress(width / 8, true);
  e.store(place, width, () => e.code.get(value));
  addToStack(e, width / 8);
};

/** The address goes to where assembly/ expects it. */
const invalidatePage: Lifter = (e) => {
  e.code.storeAt(Op.i64Store, STATE.scratch0, () => {
    e.effectiveAddress();
    e.addSegmentBase(e.insn.memory?.segment ?? -1, 1);
  });
  e.endInSystem();
};

const leaveFrame: Lifter = (e) => {
  const bytes = e.bits / 8;
  const place = e.accessRegister(RBP, 0, bytes, false);
  e.load(place, e.bits);
  const value = e.keep(e.bits);
  e.gpr(RBP);
  e.addToAddress(bytes);
  e.setGpr(RSP);
  e.code.get(value);
  e.writeRegister({ kind: 'register', register: RBP, width: e.bits, high: false });
};

const general = (register: number, width: Width): Operand & { kind: 'register' } => ({
  kind: 'register',
  register,
  width,
  high: false,
});

/** pusha: ax cx dx bx, the old sp, bp si di. */
const pushAll: Lifter = (e) => {
  const bytes = Math.abs(e.insn.stackIncrement) / 8;
  const width: Width = bytes === 2 ? 16 : 32;
  for (let register = 0; register < 8; register += 1) {
    const place = e.accessRegister(RSP, -bytes * (register + 1), bytes, true);
    e.store(place, width, () => e.readRegister(general(register, width)));
  }
  addToStack(e, -8 * bytes);
};

/** popa: the saved stack pointer is skipped. All words are read before a register changes. */
const popAll: Lifter = (e) => {
  const bytes = e.insn.stackIncrement / 8;
  const width: Width = bytes === 2 ? 16 : 32;
  const values: [number, number][] = [];
  for (let register = 7; register >= 0; register -= 1) {
    if (register === RSP) continue;
    e.load(e.accessRegister(RSP, bytes * (7 - register), bytes, false), width);
    values.push([register, e.keep(width)]);
  }
  addToStack(e, 8 * bytes);
  for (const [register, value] of values) {
    e.code.get(value);
    e.writeRegister(general(register, width));
  }
};

const conditionalMove =
  (condition: number): Lifter =>
  (e) => {
    const to = e.operand(0);
    if (to.kind !== 'register') throw new Error('cmov writes a register');
    e.read(e.operand(1), to.width);
    const value = e.keep(to.width);
    e.code.get(value);
    e.readRegister(to);
    e.pushCondition(condition);
    e.code.op(Op.select);
    e.writeRegister(to);
  };

const setOnCondition =
  (condition: number): Lifter =>
  (e) => {
    const operand = e.operand(0);
    if (operand.kind === 'register') {
      e.pushCondition(condition);
      e.writeRegister(operand);
      return;
    }
    const place = e.accessOperand(1, true);
    e.store(place, 8, () => e.pushCondition(condition));
  };

const moveReversed: Lifter = (e) => {
  const [to, from] = [e.operand(0), e.operand(1)];
  const width = widthOf(to);
  e.read(from, width);
  const value = e.keep(width);
  write(e, to, () => reverseBytes(e, value, width));
};

const translateByte: Lifter = (e) => {
  const memory = e.insn.memory;
  e.gpr(RBX);
  e.readRegister(AL);
  e.code.op(Op.i64ExtendI32U).op(Op.i64Add);
  if (memory?.addressBits === 32) e.code.i64(0xffffffffn).op(Op.i64And);
  e.addSegmentBase(memory?.segment ?? -1, 1);
  e.load(e.accessAddress(1, false), 8);
  e.writeRegister(AL);
};

/** lahf: SF, ZF, AF, PF, CF and bit 1 go to AH. */
const loadFlags: Lifter = (e) => {
  e.pushFlags();
  e.code.i32(0xff).op(Op.i32And).i32(2).op(Op.i32Or);
  e.writeRegister(AH);
};

const storeFlags: Lifter = (e) => {
  e.pushFlags();
  e.code.i32(OF).op(Op.i32And);
  e.readRegister(AH);
  e.code.i32(0xd5).op(Op.i32And).op(Op.i32Or).op(Op.i64ExtendI32U).set(e.flagA);
  e.setFlags(FlagOperation.explicit, 64);
};

const changeCarry =
  (change: (e: FunctionEmitter) => void): Lifter =>
  (e) => {
    e.pushFlags();
    change(e);
    e.code.op(Op.i64ExtendI32U).set(e.flagA);
    e.setFlags(FlagOperation.explicit, 64);
  };

const changeSystemFlag =
  (flag: number, set: boolean): Lifter =>
  (e) => {
    e.code.storeAt(Op.i32Store, STATE.systemFlags, () => {
      e.code.loadAt(Op.i32Load, STATE.systemFlags);
      if (set) e.code.i32(flag).op(Op.i32Or);
      else e.code.i32(~flag).op(Op.i32And);
    });
  };

const pushFlagsRegister: Lifter = (e) => {
  const width = pushWidth(e);
  pushValue(e, width, () => {
    e.pushFlags();
    e.code.loadAt(Op.i32Load, STATE.systemFlags).op(Op.i32Or);
    if (width === 64) e.code.op(Op.i64ExtendI32U);
    else e.mask(width);
  });
};

const ALWAYS_SET = 2;

/** Flags outside the arithmetic ones that popf changes: at CPL 0 IF and IOPL too (SDM vol. 2, POPF). */
const poppedFlags = (user: boolean): number => TF | DF | NT | AC | ID | (user ? 0 : IF | IOPL);

const popFlagsRegister: Lifter = (e) => {
  const { code } = e;
  const width = pushWidth(e);
  const place = e.accessRegister(RSP, 0, width / 8, false);
  e.load(place, width);
  if (width === 64) code.op(Op.i32WrapI64);
  const value = e.keep(32);
  addToStack(e, width / 8);
  code.get(value).i32(ARITHMETIC_FLAGS).op(Op.i32And).op(Op.i64ExtendI32U).set(e.flagA);
  e.setFlags(FlagOperation.explicit, 64);
  const changed = width === 16 ? poppedFlags(e.user) & 0xffff : poppedFlags(e.user);
  code.storeAt(Op.i32Store, STATE.systemFlags, () => {
    code.loadAt(Op.i32Load, STATE.systemFlags).i32(~changed).op(Op.i32And);
    code.get(value).i32(changed).op(Op.i32And).op(Op.i32Or).i32(ALWAYS_SET).op(Op.i32Or);
  });
  code.get(value).i32(TF).op(Op.i32And).ifUnlikely();
  e.leaveAfterInstruction(ExitReason.interrupt);
  code.end();
  if (!e.user) leaveWhenInterruptible(e, () => code.get(value).i32(IF).op(Op.i32And));
};

/** Leaves after the instruction when an interrupt waits and `push` leaves something other than 0. */
const leaveWhenInterruptible = (e: FunctionEmitter, push: () => void): void => {
  push();
  e.code.i32(0).op(Op.i32Ne).loadAt(Op.i32Load, STATE.interruptPending).i32(0).op(Op.i32Ne).op(Op.i32And).ifUnlikely();
  e.leaveAfterInstruction(ExitReason.interrupt);
  e.code.end();
};

/** sti in the kernel: a waiting interrupt is taken after the next instruction, if IF was clear (SDM vol. 2, STI). */
const enableInterrupts: Lifter = (e) => {
  if (e.user) {
    e.endInSystem();
    return;
  }
  const { code } = e;
  code.loadAt(Op.i32Load, STATE.systemFlags);
  const before = e.keep(32);
  changeSystemFlag(IF, true)(e);
  leaveWhenInterruptible(e, () => code.get(before).i32(IF).op(Op.i32And).op(Op.i32Eqz));
};

const disableInterrupts: Lifter = (e) => {
  if (e.user) e.endInSystem();
  else changeSystemFlag(IF, false)(e);
};

const swapGs: Lifter = (e) => {
  if (e.user) {
    e.endInSystem();
    return;
  }
  const { code } = e;
  const active = e.scratch(I64);
  code.loadAt(Op.i64Load, STATE.gsBase).set(active);
  code.storeAt(Op.i64Store, STATE.gsBase, () => code.loadAt(Op.i64Load, STATE.kernelGsBase));
  code.storeAt(Op.i64Store, STATE.kernelGsBase, () => code.get(active));
};

const nothing: Lifter = () => {};

const NOTHING: readonly Mnemonic[] = [
  Mnemonic.Nop,
  Mnemonic.Reservednop,
  Mnemonic.Pause,
  Mnemonic.Endbr64,
  Mnemonic.Endbr32,
  Mnemonic.Mfence,
  Mnemonic.Lfence,
  Mnemonic.Sfence,
  Mnemonic.Prefetch,
  Mnemonic.Prefetchnta,
  Mnemonic.Prefetcht0,
  Mnemonic.Prefetcht1,
  Mnemonic.Prefetcht2,
  Mnemonic.Prefetchw,
];

export const MOVES: readonly (readonly [Mnemonic, Lifter])[] = [
  [Mnemonic.Mov, move],
  [Mnemonic.Movnti, move],
  [Mnemonic.Movzx, extendMove(false)],
  [Mnemonic.Movsx, extendMove(true)],
  [Mnemonic.Movsxd, extendMove(true)],
  [Mnemonic.Movbe, moveReversed],
  [Mnemonic.Lea, loadAddress],
  [Mnemonic.Push, push],
  [Mnemonic.Pop, pop],
  [Mnemonic.Invlpg, invalidatePage],
  [Mnemonic.Leave, leaveFrame],
  [Mnemonic.Xlatb, translateByte],
  [Mnemonic.Lahf, loadFlags],
  [Mnemonic.Sahf, storeFlags],
  [Mnemonic.Clc, changeCarry((e) => e.code.i32(~1).op(Op.i32And))],
  [Mnemonic.Stc, changeCarry((e) => e.code.i32(1).op(Op.i32Or))],
  [Mnemonic.Cmc, changeCarry((e) => e.code.i32(1).op(Op.i32Xor))],
  [Mnemonic.Cld, changeSystemFlag(DF, false)],
  [Mnemonic.Std, changeSystemFlag(DF, true)],
  [Mnemonic.Pushf, pushFlagsRegister],
  [Mnemonic.Pushfd, pushFlagsRegister],
  [Mnemonic.Pushfq, pushFlagsRegister],
  [Mnemonic.Pusha, pushAll],
  [Mnemonic.Pushad, pushAll],
  [Mnemonic.Popa, popAll],
  [Mnemonic.Popad, popAll],
  [Mnemonic.Popf, popFlagsRegister],
  [Mnemonic.Popfd, popFlagsRegister],
  [Mnemonic.Popfq, popFlagsRegister],
  [Mnemonic.Sti, enableInterrupts],
  [Mnemonic.Cli, disableInterrupts],
  [Mnemonic.Swapgs, swapGs],
  ...conditional('Cmov').map(([mnemonic, code]) => [mnemonic, conditionalMove(code)] as const),
  ...conditional('Set').map(([mnemonic, code]) => [mnemonic, setOnCondition(code)] as const),
  ...NOTHING.map((mnemonic) => [mnemonic, nothing] as const),
];
