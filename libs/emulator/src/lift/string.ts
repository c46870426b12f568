import { Mnemonic } from 'iced-x86';
import type { Operand, Width } from '../decode.js';
import { DF, FlagOperation } from '../flags.js';
import { STATE } from '../state-layout.js';
import { Op } from '../wasm-writer.js';
import { flagFrom } from './arithmetic.js';
import type { FunctionEmitter } from './function-emitter.js';
import type { Lifter } from './lifter.js';

const UNDEFINED_OPCODE = 6;

export const RAX = 0;
export const RCX = 1;
export const RSI = 6;
export const RDI = 7;

export type StringAction = 'move' | 'store' | 'load' | 'scan' | 'compare';

const BYTES = { b: 1, w: 2, d: 4, q: 8 } as const;

const named = (stem: string, action: StringAction): [Mnemonic, { action: StringAction; bytes: number }][] =>
  Object.entries(BYTES).map(([suffix, bytes]) => [
    Mnemonic[`${stem}${suffix}` as keyof typeof Mnemonic],
    { action, bytes },
  ]);

/** What each string instruction does and the width of its elements in bytes. */
export const STRING_FORMS: ReadonlyMap<Mnemonic, { readonly action: StringAction; readonly bytes: number }> = new Map([
  ...named('Movs', 'move'),
  ...named('Stos', 'store'),
  ...named('Lods', 'load'),
  ...named('Scas', 'scan'),
  ...named('Cmps', 'compare'),
]);

const WIDTHS: Readonly<Record<number, Width>> = { 1: 8, 2: 16, 4: 32, 8: 64 };

const accumulator = (width: Width): Operand & { kind: 'register' } => ({
  kind: 'register',
  register: RAX,
  width,
  high: false,
});

/** Pushes si or di as an address, with its segment's base. */
const pushAddress = (e: FunctionEmitter, register: number, bytes: number): void => {
  e.gpr(register);
  const memory = e.insn.memory;
  if (memory?.addressBits === 32) e.code.i64(0xffffffffn).op(Op.i64And);
  if (register === RSI && memory !== undefined) e.addSegmentBase(memory.segment, bytes);
};

/** Moves si or di by one element, down when DF is set. */
const stepRegister = (e: FunctionEmitter, register: number, bytes: number): void => {
  const { code } = e;
  e.gpr(register);
  code
    .loadAt(Op.i32Load, STATE.systemFlags)
    .i32(DF)
    .op(Op.i32And)
    .i32(Math.log2(DF) - Math.log2(2 * bytes));
  code.op(Op.i32ShrU).op(Op.i64ExtendI32U);
  code.op(Op.i64Sub).i64(BigInt(bytes)).op(Op.i64Add);
  if (e.insn.memory?.addressBits === 32) code.i64(0xffffffffn).op(Op.i64And);
  e.setGpr(register);
};

/** One element, without rep. */
const single = (e: FunctionEmitter, action: StringAction, bytes: number): void => {
  const width = WIDTHS[bytes] ?? 64;
  const readAt = (register: number): number => {
    pushAddress(e, register, bytes);
    e.load(e.accessAddress(bytes, false), width);
    return e.keep(width);
  };
  const writeAtDi = (push: () => void): void => {
    pushAddress(e, RDI, bytes);
    e.store(e.accessAddress(bytes, true), width, push);
  };
  const compareFlags = (a: number, b: number): void => {
    flagFrom(e, e.flagA, a, width);
    flagFrom(e, e.flagB, b, width);
    e.setFlags(FlagOperation.sub, width);
  };
  switch (action) {
    case 'move': {
      const value = readAt(RSI);
      writeAtDi(() => e.code.get(value));
      break;
    }
    case 'store':
      writeAtDi(() => e.readRegister(accumulator(width)));
      break;
    case 'load':
      e.code.get(readAt(RSI));
      e.writeRegister(accumulator(width));
      break;
    case 'scan': {
      const value = readAt(RDI);
      e.readRegister(accumulator(width));
      compareFlags(e.keep(width), value);
      break;
    }
    case 'compare': {
      const left = readAt(RSI);
      compareFlags(left, readAt(RDI));
      break;
    }
  }
  if (action !== 'store' && action !== 'scan') stepRegister(e, RSI, bytes);
  if (action !== 'load') stepRegister(e, RDI, bytes);
};

/** With rep the helper does all elements; it reads and writes the registers in the state area. */
const repeated = (e: FunctionEmitter, action: StringAction): void => {
  const site = e.site();
  e.storeAll();
  e.code.i32(site).call(e.context.helpers.repString).ifUnlikely();
  e.code.op(Op.return).end();
  e.reload([RAX, RCX, RSI, RDI]);
  e.reloadPointers();
  if (action === 'scan' || action === 'compare') e.flagsInMemory();
};

const stringOperation =
  (action: StringAction, bytes: number): Lifter =>
  (e) => {
    if (e.insn.memory?.addressBits === 16) e.endInFault(UNDEFINED_OPCODE);
    else if (e.insn.rep || e.insn.repne) repeated(e, action);
    else single(e, action, bytes);
  };

export const STRINGS: readonly (readonly [Mnemonic, Lifter])[] = [...STRING_FORMS].map(
  ([mnemonic, { action, bytes }]) => [mnemonic, stringOperation(action, bytes)] as const,
);
