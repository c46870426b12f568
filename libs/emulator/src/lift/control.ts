import { Mnemonic } from 'iced-x86';
import type { DecodedBlock } from '../decode.js';
import { ARITHMETIC_FLAGS, FlagOperation, IF, RF, VM } from '../flags.js';
import { ExitReason, JUMP_CACHE, jumpCacheAddress, STATE } from '../state-layout.js';
import { I32, Op } from '../wasm-writer.js';
import type { FunctionEmitter } from './function-emitter.js';
import { conditional } from './lifter.js';

const RCX = 1;
const RDX = 2;
const RSP = 4;
const R11 = 11;
const UNDEFINED_OPCODE = 6;

/** How a block's last instruction goes on: within its fragment or out of it. Each method ends the path. */
export interface Exits {
  /** To an address in the same mode, in the fragment if it is there. */
  jump(target: number): void;
  /** To the entry of another fragment. */
  call(target: number): void;
  /** An `if` of the structured code begins or ends. */
  enterIf(): void;
  leaveIf(): void;
}

const CONDITION_OF = new Map<Mnemonic, number>(conditional('J'));

/** Lets both sides of a branch begin with what is known here: the i32 on the stack chooses. */
const fork = (e: FunctionEmitter, exits: Exits, taken: number, next: number): void => {
  const state = e.flowState();
  e.code.if();
  exits.enterIf();
  exits.jump(taken);
  exits.leaveIf();
  e.code.end();
  e.continueFrom(state);
  exits.jump(next);
};

const directTarget = (block: DecodedBlock): number => {
  if (block.target === undefined) throw new Error('the block has no direct target');
  return block.target;
};

/** loop, loope, loopne: rcx counts down; jrcxz: tests it. */
const countedCondition = (e: FunctionEmitter, mnemonic: Mnemonic): void => {
  const { code } = e;
  if (e.insn.addressBits === 16) {
    countedInCx(e, mnemonic);
    return;
  }
  const narrow = mnemonic === Mnemonic.Jecxz || e.insn.addressBits === 32;
  const cut = (): void => {
    if (narrow) code.i64(0xffffffffn).op(Op.i64And);
  };
  if (mnemonic === Mnemonic.Jrcxz || mnemonic === Mnemonic.Jecxz) {
    e.gpr(RCX);
    cut();
    code.op(Op.i64Eqz);
    return;
  }
  e.gpr(RCX);
  code.i64(1n).op(Op.i64Sub);
  cut();
  e.setGpr(RCX);
  e.flushRegisters();
  e.gpr(RCX);
  code.op(Op.i64Eqz).op(Op.i32Eqz);
  if (mnemonic === Mnemonic.Loop) return;
  e.pushCondition(mnemonic === Mnemonic.Loope ? 4 : 5);
  code.op(Op.i32And);
};

const CX = { kind: 'register', register: RCX, width: 16, high: false } as const;

/** The same with an address-size prefix in 32-bit code: the upper half of ecx stays. */
const countedInCx = (e: FunctionEmitter, mnemonic: Mnemonic): void => {
  const { code } = e;
  e.readRegister(CX);
  if (mnemonic === Mnemonic.Jcxz) {
    code.op(Op.i32Eqz);
    return;
  }
  code.i32(1).op(Op.i32Sub);
  e.mask(16);
  e.writeRegister(CX);
  e.flushRegisters();
  e.readRegister(CX);
  code.op(Op.i32Eqz).op(Op.i32Eqz);
  if (mnemonic === Mnemonic.Loop) return;
  e.pushCondition(mnemonic === Mnemonic.Loope ? 4 : 5);
  code.op(Op.i32And);
};

const branch = (e: FunctionEmitter, block: DecodedBlock, exits: Exits): void => {
  const { mnemonic } = e.insn;
  e.retireBlock(e.block);
  e.flushRegisters();
  const condition = CONDITION_OF.get(mnemonic);
  if (condition === undefined) countedCondition(e, mnemonic);
  else e.pushCondition(condition);
  fork(e, exits, directTarget(block), block.next);
};

const pushReturnAddress = (e: FunctionEmitter, address: number): void => {
  const bytes = e.bits / 8;
  const place = e.accessRegister(RSP, -bytes, bytes, true);
  e.store(place, e.bits, () => e.constant(BigInt(address), e.bits));
  e.gpr(RSP);
  if (e.bits === 64) e.code.i64(8n).op(Op.i64Sub);
  else e.addToAddress(-bytes);
  e.setGpr(RSP);
};

/** Keeps the address on the stack, of the mode's width, as i64. */
const keepTarget = (e: FunctionEmitter): number => {
  if (e.bits === 32) e.code.op(Op.i64ExtendI32U);
  return e.keep(64);
};

/** A near transfer with 16-bit operands in 32-bit code, which cuts EIP. */
const isNarrow = (e: FunctionEmitter): boolean => {
  const [to] = e.insn.operands;
  const narrowOperand = (to?.kind === 'register' || to?.kind === 'memory') && to.width === 16;
  return e.bits === 32 && (narrowOperand || Math.abs(e.insn.stackIncrement) === 2);
};

const callDirect = (e: FunctionEmitter, block: DecodedBlock, exits: Exits): void => {
  pushReturnAddress(e, block.next);
  e.retireBlock(e.block);
  exits.call(directTarget(block));
};

const indirect = (e: FunctionEmitter, block: DecodedBlock, isCall: boolean): void => {
  e.read(e.operand(0), e.bits);
  const target = keepTarget(e);
  if (isCall) pushReturnAddress(e, block.next);
  e.retireBlock(e.block);
  exitIndirect(e, target);
};

const returnNear = (e: FunctionEmitter): void => {
  const place = e.accessRegister(RSP, 0, e.bits / 8, false);
  e.load(place, e.bits);
  const target = keepTarget(e);
  const released = e.insn.operands[0];
  const extra = released?.kind === 'immediate' ? Number(BigInt.asUintN(16, released.value)) : 0;
  e.gpr(RSP);
  e.addToAddress(e.bits / 8 + extra);
  e.setGpr(RSP);
  e.retireBlock(e.block);
  exitIndirect(e, target);
};

/** Leaves the fragment for the address in a local: through the jump cache, or to the run loop. */
export const exitIndirect = (e: FunctionEmitter, target: number, toUser = e.user): void => {
  const { code } = e;
  const setRip = (): void => {
    code.storeAt(Op.i64Store, STATE.rip, () => code.get(target));
  };
  e.prepareExit();
  e.checkpoint(setRip);
  const cache = jumpCacheAddress(toUser);
  const low = e.scratch(I32);
  const entry = e.scratch(I32);
  code.get(target).op(Op.i32WrapI64).tee(low).get(low).i32(JUMP_CACHE.foldBits).op(Op.i32ShrU).op(Op.i32Xor);
  if (toUser) {
    code.loadAt(Op.i32Load, STATE.space).i32(JUMP_CACHE.spaceShift).op(Op.i32Shl).op(Op.i32Xor);
  }
  code
    .i32(JUMP_CACHE.entries - 1)
    .op(Op.i32And)
    .i32(Math.log2(JUMP_CACHE.entryBytes))
    .op(Op.i32Shl)
    .set(entry);
  code
    .get(entry)
    .memory(Op.i64Load, cache + JUMP_CACHE.tag)
    .get(target)
    .op(Op.i64Ne);
  if (toUser) {
    code
      .get(entry)
      .memory(Op.i32Load, cache + JUMP_CACHE.space)
      .loadAt(Op.i32Load, STATE.space);
    code.op(Op.i32Ne).op(Op.i32Or);
  }
  code.ifUnlikely();
  const site = e.site();
  e.leave(ExitReason.lookup, () => {
    setRip();
    code.storeAt(Op.i32Store, STATE.exitSite, () => code.i32(site));
  });
  code.end();
  e.pushParameters();
  code
    .get(entry)
    .memory(Op.i32Load, cache + JUMP_CACHE.slot)
    .returnCallIndirect(e.context.fragmentType);
};

const EFER_SCE = 1;
const STAR_SYSCALL = 32n;
const STAR_SYSRET = 48n;

/** Stores a selector computed from a field of STAR. */
const storeSelector = (e: FunctionEmitter, field: number, shift: bigint, add: number, rpl: number): void => {
  const { code } = e;
  code.storeAt(Op.i32Store, field, () => {
    code.loadAt(Op.i64Load, STATE.star).i64(shift).op(Op.i64ShrU).op(Op.i32WrapI64);
    code.i32(0xffff).op(Op.i32And).i32(add).op(Op.i32Add).i32(rpl).op(Op.i32Or);
  });
};

/** syscall in 64-bit mode (SDM vol. 2): rcx = return address, r11 = RFLAGS, flags masked, to LSTAR at CPL 0. */
const systemCall = (e: FunctionEmitter, block: DecodedBlock): void => {
  const { code } = e;
  code.loadAt(Op.i32Load, STATE.efer).i32(EFER_SCE).op(Op.i32And).op(Op.i32Eqz);
  e.faultIf(UNDEFINED_OPCODE);
  e.pushFlags();
  const arithmetic = e.keep(32);
  code.get(arithmetic).loadAt(Op.i32Load, STATE.systemFlags).op(Op.i32Or).op(Op.i64ExtendI32U);
  e.setGpr(R11);
  code.i64(BigInt(block.next));
  e.setGpr(RCX);
  code.get(arithmetic).loadAt(Op.i32Load, STATE.sfmask).i32(-1).op(Op.i32Xor).op(Op.i32And);
  code.op(Op.i64ExtendI32U).set(e.flagA);
  e.setFlags(FlagOperation.explicit, 64);
  code.storeAt(Op.i32Store, STATE.systemFlags, () => {
    code.loadAt(Op.i32Load, STATE.systemFlags).loadAt(Op.i32Load, STATE.sfmask).i32(-1).op(Op.i32Xor);
    code.op(Op.i32And).i32(2).op(Op.i32Or);
  });
  storeSelector(e, STATE.csSelector, STAR_SYSCALL, 0, 0);
  storeSelector(e, STATE.ssSelector, STAR_SYSCALL, 8, 0);
  code.storeAt(Op.i32Store, STATE.cpl, () => code.i32(0));
  e.retireBlock(e.block);
  code.loadAt(Op.i64Load, STATE.lstar);
  exitIndirect(e, e.keep(64), false);
};

/** Bits of r11 that sysret loads (SDM vol. 2, SYSRET). */
const SYSRET_FLAGS = 0x3c7fd7;

/** sysret to 64-bit mode: rip = rcx, RFLAGS = r11, CPL 3. Unusual cases are left to the run loop. */
const systemReturn = (e: FunctionEmitter): void => {
  const { code } = e;
  e.ensure(RCX);
  e.ensure(R11);
  const rcx = e.gprLocal(RCX);
  const r11 = e.gprLocal(R11);
  code.get(rcx).i64(47n).op(Op.i64ShrU).op(Op.i64Eqz).op(Op.i32Eqz);
  code.get(r11).i64(0x100n).op(Op.i64And).op(Op.i64Eqz).op(Op.i32Eqz).op(Op.i32Or);
  code.loadAt(Op.i32Load, STATE.efer).i32(EFER_SCE).op(Op.i32And).op(Op.i32Eqz).op(Op.i32Or);
  code.loadAt(Op.i32Load, STATE.interruptPending).i32(0).op(Op.i32Ne).op(Op.i32Or).ifUnlikely();
  e.leaveAtInstruction(ExitReason.system);
  code.end();
  code.get(r11).i64(BigInt(ARITHMETIC_FLAGS)).op(Op.i64And).set(e.flagA);
  e.setFlags(FlagOperation.explicit, 64);
  code.storeAt(Op.i32Store, STATE.systemFlags, () => {
    code
      .get(r11)
      .op(Op.i32WrapI64)
      .i32(SYSRET_FLAGS & ~ARITHMETIC_FLAGS)
      .op(Op.i32And)
      .i32(2)
      .op(Op.i32Or);
  });
  storeSelector(e, STATE.csSelector, STAR_SYSRET, 16, 3);
  storeSelector(e, STATE.ssSelector, STAR_SYSRET, 8, 3);
  code.storeAt(Op.i32Store, STATE.cpl, () => code.i32(3));
  e.retireBlock(e.block);
  code.get(rcx);
  exitIndirect(e, e.keep(64), true);
};

const GENERAL_PROTECTION = 13;

/** Pushes the selector that sysenter and sysexit count from (SDM vol. 2, SYSENTER). */
const pushEnterSelector = (e: FunctionEmitter): void => {
  e.code.loadAt(Op.i32Load, STATE.sysenterCs).i32(0xfffc).op(Op.i32And);
};

const storeEnterSelector = (e: FunctionEmitter, field: number, add: number): void => {
  e.code.storeAt(Op.i32Store, field, () => {
    pushEnterSelector(e);
    e.code.i32(add).op(Op.i32Add);
  });
};

/** sysenter in 32-bit mode: EIP, ESP, CS and SS from MSRs, interrupts off, at CPL 0. */
const systemEnter = (e: FunctionEmitter): void => {
  const { code } = e;
  pushEnterSelector(e);
  code.op(Op.i32Eqz);
  e.faultIf(GENERAL_PROTECTION);
  code.loadAt(Op.i32Load, STATE.sysenterEsp).op(Op.i64ExtendI32U);
  e.setGpr(RSP);
  code.storeAt(Op.i32Store, STATE.systemFlags, () => {
    code
      .loadAt(Op.i32Load, STATE.systemFlags)
      .i32(~(IF | RF | VM))
      .op(Op.i32And);
  });
  storeEnterSelector(e, STATE.csSelector, 0);
  storeEnterSelector(e, STATE.ssSelector, 8);
  code.storeAt(Op.i32Store, STATE.cpl, () => code.i32(0));
  e.retireBlock(e.block);
  code.loadAt(Op.i32Load, STATE.sysenterEip).op(Op.i64ExtendI32U);
  exitIndirect(e, e.keep(64), false);
};

/** sysexit in 32-bit mode: edx → EIP, ecx → ESP, CPL 3. A waiting interrupt and a fault are left to the run loop. */
const systemExit = (e: FunctionEmitter): void => {
  const { code } = e;
  pushEnterSelector(e);
  code.op(Op.i32Eqz);
  code.loadAt(Op.i32Load, STATE.interruptPending).i32(0).op(Op.i32Ne).op(Op.i32Or).ifUnlikely();
  e.leaveAtInstruction(ExitReason.system);
  code.end();
  storeEnterSelector(e, STATE.csSelector, 16 | 3);
  storeEnterSelector(e, STATE.ssSelector, 24 | 3);
  code.storeAt(Op.i32Store, STATE.cpl, () => code.i32(3));
  e.gpr(RCX);
  e.setGpr(RSP);
  e.retireBlock(e.block);
  e.gpr(RDX);
  exitIndirect(e, e.keep(64), true);
};

/** Emits the transfer of control at a block's end; the last instruction has begun, and others have been lifted. */
export const endBlock = (e: FunctionEmitter, block: DecodedBlock, exits: Exits): void => {
  const { kind } = block.shape.end;
  if (NEAR.has(kind) && isNarrow(e)) {
    e.endInFault(UNDEFINED_OPCODE);
    return;
  }
  switch (kind) {
    case 'jump':
      e.retireBlock(e.block);
      e.flushRegisters();
      exits.jump(directTarget(block));
      return;
    case 'conditional':
      branch(e, block, exits);
      return;
    case 'call':
      callDirect(e, block, exits);
      return;
    case 'indirect-jump':
    case 'indirect-call':
      indirect(e, block, kind === 'indirect-call');
      return;
    case 'return':
      returnNear(e);
      return;
    case 'undefined':
      e.endInFault(UNDEFINED_OPCODE);
      return;
    case 'system-call':
      if (e.insn.mnemonic === Mnemonic.Sysenter && e.bits === 32) systemEnter(e);
      else if (e.user && e.insn.mnemonic === Mnemonic.Syscall && e.bits === 64) systemCall(e, block);
      else e.endInSystem();
      return;
    case 'system-return':
      if (!e.user && e.insn.mnemonic === Mnemonic.Sysretq) systemReturn(e);
      else if (!e.user && e.insn.mnemonic === Mnemonic.Sysexit && e.bits === 32) systemExit(e);
      else e.endInSystem();
      return;
    case 'far':
    case 'interrupt-return':
    case 'software-interrupt':
    case 'halt':
      e.endInSystem();
      return;
    default:
      if (e.ended) return;
      e.retireBlock(e.block);
      e.flushRegisters();
      exits.jump(block.next);
  }
};

/** Ends whose last instruction is lifted by `endBlock` itself, not by a lifter. */
export const liftedByEnd = (block: DecodedBlock): boolean => ENDS.has(block.shape.end.kind);

const NEAR = new Set<DecodedBlock['shape']['end']['kind']>(['call', 'indirect-jump', 'indirect-call', 'return']);

const ENDS = new Set<DecodedBlock['shape']['end']['kind']>([
  'jump',
  'conditional',
  'call',
  'indirect-jump',
  'indirect-call',
  'return',
  'undefined',
  'system-call',
  'system-return',
  'far',
  'interrupt-return',
  'software-interrupt',
  'halt',
]);
