import type { RawBlock } from '@pvtrail/trace';
import type { Bits, DecodedBlock, Insn, MemoryOperand, Operand, Width } from '../decode.js';
import { FlagOperation, FlagReader, flagKindCode, type KnownFlags } from '../flags.js';
import { BaseValues, type PlannedAccess, planOperand, planRanges, type Range } from '../ranges.js';
import { FLAGS_DYNAMIC, FLAGS_IN_MEMORY, type Site } from '../sites.js';
import { ExitReason, gprAddress, REGION, STATE, TLB, tlbAddress } from '../state-layout.js';
import { CodeWriter, I32, I64, Op, type ValueType } from '../wasm-writer.js';

/** Function indexes of the helpers in a module of generated code. */
export interface Helpers {
  /** (address i64, site i32) → WebAssembly address, 0 = leave. */
  readonly miss: number;
  /** The same for careful functions: page crossings and protected pages are handled. */
  readonly careful: number;
  /** () → (): completes a store of a careful function. */
  readonly commit: number;
  /** (kind i32, a i64, b i64) → arithmetic flags. */
  readonly flags: number;
  /** (dividend high, low, divisor, signed i32) → (quotient, remainder, overflow i32): 128 by 64 bits, through the state area. */
  readonly divide: number;
  /** (site i32) → 1 = leave. Runs a rep string instruction. */
  readonly repString: number;
  /** 32-bit code: (selector register i32, selector i32) → 0 = leave. Loads es, ds, fs or gs. */
  readonly loadSegment: number;
}

/** What all functions of a machine have in common. */
export interface EmitterContext {
  readonly bits: Bits;
  readonly record: boolean;
  readonly helpers: Helpers;
  /** Registers that fragments pass to each other as parameters, in order. */
  readonly passedRegisters: readonly number[];
  readonly fragmentType: number;
  addSite(site: Site): number;
}

/** Parameters of a fragment function: passed registers, then, when recording, the event and address pointers. */
export const fragmentParameters = (passedRegisters: readonly number[], record: boolean): ValueType[] => [
  ...passedRegisters.map((): ValueType => I64),
  ...(record ? ([I32, I32] as const) : []),
];

/** Known while translating about the flags at a point. */
export type FlagState =
  | { readonly kind: 'memory' }
  | { readonly kind: 'dynamic' }
  | ({ readonly kind: 'known' } & KnownFlags);

/** A checked range of guest memory: `local` holds the WebAssembly address of its first byte. */
interface CheckedRange extends Range {
  readonly local: number;
}

/** What is known where a block begins or ends. */
export interface FlowState {
  readonly flags: FlagState;
  /** Bit set of registers whose local holds the value. */
  readonly available: number;
  readonly values: BaseValues;
  readonly ranges: ReadonlyMap<string, CheckedRange>;
}

/** Where a checked access goes: `local` + `offset`. */
export interface Place {
  readonly local: number;
  readonly offset: number;
}

const PAGE_MASK = -4096n;
const LOW_HALF = 0xffffffffn;
const FS = 4;
const GS = 5;
const GENERAL_PROTECTION = 13;
const MEMORY_FLAGS: FlagState = { kind: 'memory' };
const DYNAMIC_FLAGS: FlagState = { kind: 'dynamic' };

const LOADS: Readonly<Record<Width, number>> = { 8: Op.i32Load8U, 16: Op.i32Load16U, 32: Op.i32Load, 64: Op.i64Load };
const STORES: Readonly<Record<Width, number>> = {
  8: Op.i32Store8,
  16: Op.i32Store16,
  32: Op.i32Store,
  64: Op.i64Store,
};

const typeOf = (width: Width): ValueType => (width === 64 ? I64 : I32);

/**
 * Emits one function of generated code: registers in locals, written through to the state area before anything that may leave,
 * lazy flags, checked memory accesses, recorded events. The families of instructions (lift/*.ts) build on these primitives.
 */
export class FunctionEmitter {
  readonly code: CodeWriter;
  readonly context: EmitterContext;
  /** Also of the general registers and of what a call pushes. */
  readonly bits: Bits;
  readonly user: boolean;
  /** A careful function checks each access by itself and can stop after any instruction. */
  readonly careful: boolean;
  readonly #gpr: readonly number[];
  readonly flagA: number;
  readonly flagB: number;
  readonly flagKind: number;
  readonly #reader: FlagReader;
  readonly #eventPointer: number;
  readonly #addressPointer: number;
  readonly #userFuel: number;
  #userFuelLoaded = false;

  #dirty = 0;
  #available = 0;
  #flags: FlagState = MEMORY_FLAGS;
  #values = new BaseValues();
  #ranges = new Map<string, CheckedRange>();
  #planned = new Map<string, Range>();
  #block: RawBlock | undefined;
  #insn: Insn | undefined;
  #slot = 0;
  #scratch: Record<ValueType, number[]> = { [I32]: [], [I64]: [] };
  #scratchUsed: Record<ValueType, number> = { [I32]: 0, [I64]: 0 };

  constructor(context: EmitterContext, user: boolean, careful: boolean) {
    this.context = context;
    this.bits = context.bits;
    this.user = user;
    this.careful = careful;
    const passed = context.passedRegisters;
    const code = new CodeWriter(passed.length + (context.record ? 2 : 0));
    this.code = code;
    this.#eventPointer = passed.length;
    this.#addressPointer = passed.length + 1;
    this.#gpr = Array.from({ length: 16 }, (_, register) => {
      const parameter = passed.indexOf(register);
      return parameter >= 0 ? parameter : code.local(I64);
    });
    this.flagA = code.local(I64);
    this.flagB = code.local(I64);
    this.flagKind = code.local(I32);
    this.#userFuel = code.local(I32);
    this.#reader = new FlagReader(code, this.flagA, this.flagB);
    for (const register of passed) this.#available |= 1 << register;
  }

  // ---- locals ----

  /** A scratch local that lives until the end of the instruction. */
  scratch(type: ValueType): number {
    const pool = this.#scratch[type];
    const used = this.#scratchUsed[type]++;
    const known = pool[used];
    if (known !== undefined) return known;
    const made = this.code.local(type);
    pool.push(made);
    return made;
  }

  /** Stores the top of the stack in a new scratch local of the width's type. */
  keep(width: Width): number {
    const local = this.scratch(typeOf(width));
    this.code.set(local);
    return local;
  }

  // ---- flow between blocks ----

  flowState(): FlowState {
    return {
      flags: this.#flags,
      available: this.#available,
      values: this.#values.copy(),
      ranges: new Map(this.#ranges),
    };
  }

  /** Continues with what is known after the only predecessor. No register is dirty where blocks end. */
  continueFrom(state: FlowState): void {
    this.#dirty = 0;
    this.#flags = state.flags;
    this.#available = state.available;
    this.#values = state.values.copy();
    this.#ranges = new Map(state.ranges);
  }

  /** Continues where paths meet: flags are dynamic, only common registers are in locals. */
  continueFromMany(available: number): void {
    this.#dirty = 0;
    this.#flags = DYNAMIC_FLAGS;
    this.#available = available;
    this.#values.forget();
    this.#ranges = new Map();
  }

  get available(): number {
    return this.#available;
  }

  // ---- blocks and instructions ----

  /** The user-mode count is in a local from here on. */
  loadUserFuel(): void {
    if (!this.user) return;
    this.code.loadAt(Op.i32Load, STATE.userFuel).set(this.#userFuel);
    this.#userFuelLoaded = true;
  }

  /** Leaves before the block when the timer is due. */
  checkTimer(address: number): void {
    if (!this.user) return;
    this.code.get(this.#userFuel).i32(0).op(Op.i32LeS).ifUnlikely();
    this.leave(ExitReason.timer, () => this.storeRip(address));
    this.code.end();
  }

  beginBlock(block: RawBlock, decoded: DecodedBlock): void {
    this.#block = block;
    this.#planned = this.careful ? new Map() : planRanges(decoded, this.#values);
    this.#slot = 0;
  }

  /** Records that the block is executed (ADR 002). */
  recordBlock(block: RawBlock): void {
    if (!this.context.record) return;
    this.code.get(this.#eventPointer).i32(block.rawId).memory(Op.i32Store, 0);
    this.code.get(this.#eventPointer).i32(4).op(Op.i32Add).set(this.#eventPointer);
  }

  /** Counts a block that has retired: its addresses stay in the column. */
  retireBlock(block: RawBlock): void {
    // the runs of a rep string instruction have put their addresses into the column themselves
    if (!this.insn.rep && !this.insn.repne) this.advanceAddresses(block.slots);
    this.spendUserFuel(block.instructions);
  }

  advanceAddresses(slots: number): void {
    if (!this.context.record || slots === 0) return;
    this.code
      .get(this.#addressPointer)
      .i32(4 * slots)
      .op(Op.i32Add)
      .set(this.#addressPointer);
  }

  spendUserFuel(instructions: number): void {
    if (!this.user) return;
    this.code.get(this.#userFuel).i32(instructions).op(Op.i32Sub).set(this.#userFuel);
  }

  beginInstruction(insn: Insn): void {
    this.#insn = insn;
    this.ended = false;
    this.#scratchUsed = { [I32]: 0, [I64]: 0 };
    this.#slot = insn.slotsBefore;
  }

  endInstruction(insn: Insn): void {
    this.#values.advance(insn);
  }

  get insn(): Insn {
    if (this.#insn === undefined) throw new Error('no instruction is being lifted');
    return this.#insn;
  }

  get block(): RawBlock {
    if (this.#block === undefined) throw new Error('no block is being lifted');
    return this.#block;
  }

  // ---- registers ----

  /** Makes sure that a register's local holds its value; needed before control forks inside one instruction. */
  ensure(register: number): void {
    const bit = 1 << register;
    if ((this.#available & bit) !== 0) return;
    this.code.loadAt(Op.i64Load, gprAddress(register)).set(this.gprLocal(register));
    this.#available |= bit;
  }

  /** The same for a bit set of registers. */
  ensureAll(registers: number): void {
    for (let register = 0; register < 16; register += 1) if ((registers & (1 << register)) !== 0) this.ensure(register);
  }

  gprLocal(register: number): number {
    const local = this.#gpr[register];
    if (local === undefined) throw new RangeError(`no general register ${register}`);
    return local;
  }

  /** Pushes a whole register. */
  gpr(register: number): void {
    this.ensure(register);
    this.code.get(this.gprLocal(register));
  }

  /** Pops the whole new value of a register. */
  setGpr(register: number): void {
    this.code.set(this.gprLocal(register));
    this.#available |= 1 << register;
    if (!this.context.passedRegisters.includes(register)) this.#dirty |= 1 << register;
  }

  /** Pushes a register operand, zero-extended in the width's type. */
  readRegister(operand: Operand & { kind: 'register' }): void {
    this.gpr(operand.register);
    if (operand.width === 64) return;
    if (operand.high) this.code.i64(8n).op(Op.i64ShrU);
    this.code.op(Op.i32WrapI64);
    if (operand.width < 32) this.code.i32(operand.width === 8 ? 0xff : 0xffff).op(Op.i32And);
  }

  /** Pops a zero-extended value into a register operand. */
  writeRegister(operand: Operand & { kind: 'register' }): void {
    const { register, width, high } = operand;
    if (width === 64) {
      this.setGpr(register);
      return;
    }
    this.code.op(Op.i64ExtendI32U);
    if (width === 32) {
      this.setGpr(register);
      return;
    }
    if (high) this.code.i64(8n).op(Op.i64Shl);
    const mask = width === 16 ? 0xffffn : high ? 0xff00n : 0xffn;
    this.gpr(register);
    this.code.i64(~mask).op(Op.i64And).op(Op.i64Or);
    this.setGpr(register);
  }

  /** Writes changed registers to the state area. */
  flushRegisters(): void {
    for (let register = 0; register < 16; register += 1) {
      if ((this.#dirty & (1 << register)) === 0) continue;
      this.code.storeAt(Op.i64Store, gprAddress(register), () => this.code.get(this.gprLocal(register)));
    }
    this.#dirty = 0;
  }

  // ---- flags ----

  /** The flags now follow from `flagA` (and `flagB`), which the caller has set. */
  setFlags(operation: FlagOperation, width: Width): void {
    this.#flags = { kind: 'known', operation, width };
  }

  get flags(): FlagState {
    return this.#flags;
  }

  /** Pops a value of the width's type into a flag local. */
  setFlagValue(local: number, width: Width): void {
    if (width !== 64) this.code.op(Op.i64ExtendI32U);
    this.code.set(local);
  }

  /** The flags with operation and width known; computes them when only the running program knows. */
  knownFlags(): KnownFlags {
    if (this.#flags.kind === 'known' && this.#flags.operation !== FlagOperation.multiply) return this.#flags;
    this.pushRuntimeFlags();
    this.code.op(Op.i64ExtendI32U).set(this.flagA);
    this.setFlags(FlagOperation.explicit, 64);
    return { operation: FlagOperation.explicit, width: 64 };
  }

  private pushRuntimeFlags(): void {
    this.makeFlagsDynamic();
    this.code.get(this.flagKind).get(this.flagA).get(this.flagB).call(this.context.helpers.flags);
  }

  private loadFlags(): void {
    this.code.loadAt(Op.i32Load, STATE.flagKind).set(this.flagKind);
    this.code.loadAt(Op.i64Load, STATE.flagA).set(this.flagA);
    this.code.loadAt(Op.i64Load, STATE.flagB).set(this.flagB);
  }

  /** Pushes the arithmetic flags as in RFLAGS. */
  pushFlags(): void {
    this.#reader.all(this.knownFlags());
  }

  pushCarry(): void {
    this.#reader.carry(this.knownFlags());
  }

  pushCondition(code: number): void {
    this.#reader.condition(this.knownFlags(), code);
  }

  get flagReader(): FlagReader {
    return this.#reader;
  }

  /** Brings the flags into the form that every joining path uses. */
  makeFlagsDynamic(): void {
    if (this.#flags.kind === 'memory') this.loadFlags();
    if (this.#flags.kind === 'known') {
      this.code.i32(flagKindCode(this.#flags.operation, this.#flags.width)).set(this.flagKind);
    }
    this.#flags = DYNAMIC_FLAGS;
  }

  /** Writes lazy flags to the state area. Their kind may be left to the site's description. */
  private storeFlags(withKind: boolean): void {
    const flags = this.#flags;
    if (flags.kind === 'memory') return;
    if (flags.kind === 'dynamic') {
      this.code.storeAt(Op.i32Store, STATE.flagKind, () => this.code.get(this.flagKind));
    } else if (withKind) {
      this.code.storeAt(Op.i32Store, STATE.flagKind, () => this.code.i32(flagKindCode(flags.operation, flags.width)));
    }
    this.code.storeAt(Op.i64Store, STATE.flagA, () => this.code.get(this.flagA));
    const usesB =
      flags.kind === 'dynamic' ||
      (flags.operation !== FlagOperation.logic && flags.operation !== FlagOperation.explicit);
    if (usesB) this.code.storeAt(Op.i64Store, STATE.flagB, () => this.code.get(this.flagB));
  }

  // ---- leaving ----

  storeRip(address: number): void {
    this.code.storeAt(Op.i64Store, STATE.rip, () => this.code.i64(BigInt(address)));
  }

  /** Stores everything that is not yet in the state area. Does not change what is known: used on cold paths too. */
  private storeLeft(withKind: boolean): void {
    const { record, passedRegisters } = this.context;
    this.flushRegistersKeeping();
    this.storeFlags(withKind);
    for (const register of passedRegisters) {
      this.code.storeAt(Op.i64Store, gprAddress(register), () => this.code.get(this.gprLocal(register)));
    }
    if (record) {
      this.code.storeAt(Op.i32Store, STATE.eventPointer, () => this.code.get(this.#eventPointer));
      this.code.storeAt(Op.i32Store, STATE.addressPointer, () => this.code.get(this.#addressPointer));
    }
    this.storeUserFuel();
  }

  private storeUserFuel(): void {
    if (!this.#userFuelLoaded) return;
    this.code.storeAt(Op.i32Store, STATE.userFuel, () => this.code.get(this.#userFuel));
  }

  /** Returns to the run loop. `setRip` stores the address at which to go on. */
  leave(reason: number, setRip: () => void): void {
    this.storeLeft(true);
    setRip();
    this.code.storeAt(Op.i32Store, STATE.exitReason, () => this.code.i32(reason));
    this.code.op(Op.return);
  }

  /** Whether the current instruction has left for good, so that no transfer of control follows. */
  ended = false;

  /** Leaves the instruction to the run loop, whatever it is. */
  endInSystem(): void {
    this.leaveAtInstruction(ExitReason.system);
    this.ended = true;
  }

  /** The instruction always faults. */
  endInFault(vector: number): void {
    this.leaveAtInstruction(ExitReason.fault, vector);
    this.ended = true;
  }

  /** Returns to the run loop at the current instruction, which has not retired. */
  leaveAtInstruction(reason: number, vector?: number): void {
    const site = this.site();
    this.storeLeft(true);
    this.storeRip(this.insn.address);
    this.code.storeAt(Op.i32Store, STATE.exitReason, () => this.code.i32(reason));
    this.code.storeAt(Op.i32Store, STATE.exitSite, () => this.code.i32(site));
    if (vector !== undefined) this.code.storeAt(Op.i32Store, STATE.exitVector, () => this.code.i32(vector));
    this.code.op(Op.return);
  }

  /** Returns to the run loop after the current instruction. */
  leaveAfterInstruction(reason: number): void {
    const site = this.site();
    this.storeLeft(true);
    this.storeRip(this.insn.next);
    this.code.storeAt(Op.i32Store, STATE.exitReason, () => this.code.i32(reason));
    this.code.storeAt(Op.i32Store, STATE.exitSite, () => this.code.i32(site));
    this.code.op(Op.return);
  }

  /** In a careful function, after an instruction: leaves when it must stop here, or when a store asked for it. */
  leaveIfAsked(stop: boolean): void {
    const { code } = this;
    if (!stop) code.loadAt(Op.i32Load, STATE.leaveAfter).ifUnlikely();
    this.leaveAfterInstruction(ExitReason.stepped);
    if (!stop) code.end();
  }

  private flushRegistersKeeping(): void {
    const dirty = this.#dirty;
    this.flushRegisters();
    this.#dirty = dirty;
  }

  /** Raises a fault when the i32 on the stack is not 0. */
  faultIf(vector: number): void {
    this.code.ifUnlikely();
    this.leaveAtInstruction(ExitReason.fault, vector);
    this.code.end();
  }

  /** Stores what the next fragment reads from the state area. */
  prepareExit(): void {
    this.flushRegisters();
    this.storeFlags(true);
    this.storeUserFuel();
  }

  /** Pushes the parameters of the next fragment. */
  pushParameters(): void {
    for (const register of this.context.passedRegisters) this.gpr(register);
    if (this.context.record) this.code.get(this.#eventPointer).get(this.#addressPointer);
  }

  /**
   * Where control may go in circles: leaves when the columns are nearly full (recording) or the fuel is used up.
   * Registers and flags must have been stored (`prepareExit`) or lie in locals.
   */
  checkpoint(setRip: () => void): void {
    const { code } = this;
    if (this.context.record) {
      code.get(this.#eventPointer).loadAt(Op.i32Load, STATE.eventLimit).op(Op.i32GtU);
      code.get(this.#addressPointer).loadAt(Op.i32Load, STATE.addressLimit).op(Op.i32GtU).op(Op.i32Or).ifUnlikely();
    } else {
      const left = this.scratch(I32);
      code.loadAt(Op.i32Load, STATE.fuel).i32(1).op(Op.i32Sub).set(left);
      code.storeAt(Op.i32Store, STATE.fuel, () => code.get(left));
      code.get(left).i32(0).op(Op.i32LtS).ifUnlikely();
    }
    this.leave(ExitReason.drain, setRip);
    code.end();
  }

  site(partial: Partial<Site> = {}): number {
    const flags = this.#flags;
    return this.context.addSite({
      block: this.block,
      instruction: this.insn,
      user: this.user,
      flagKind:
        flags.kind === 'known'
          ? flagKindCode(flags.operation, flags.width)
          : flags.kind === 'memory'
            ? FLAGS_IN_MEMORY
            : FLAGS_DYNAMIC,
      firstOffset: 0,
      firstBytes: 0,
      firstWrites: false,
      rangeBytes: 0,
      rangeWrites: false,
      slot: this.#slot,
      ...partial,
    });
  }

  // ---- memory ----

  /** Cuts the address on the stack to 32 bits in 32-bit code, whose registers have zero in their upper halves. */
  wrap(): void {
    if (this.bits === 32) this.code.i64(LOW_HALF).op(Op.i64And);
  }

  /** Adds a constant to the address on the stack; in 32-bit code by an addition of 32 bits, which costs no cutting. */
  addToAddress(distance: number): void {
    if (this.bits === 64) this.code.i64(BigInt(distance)).op(Op.i64Add);
    else this.code.op(Op.i32WrapI64).i32(distance).op(Op.i32Add).op(Op.i64ExtendI32U);
  }

  /** The effective address of 32-bit code: computed in 32 bits. */
  private effectiveAddress32({ base, index, scale, displacement }: MemoryOperand): void {
    const { code } = this;
    if (base < 0 && index < 0) {
      code.i64(displacement);
      return;
    }
    if (base >= 0) {
      this.gpr(base);
      code.op(Op.i32WrapI64);
    }
    if (index >= 0) {
      this.gpr(index);
      code.op(Op.i32WrapI64);
      if (scale > 1) code.i32(Math.log2(scale)).op(Op.i32Shl);
      if (base >= 0) code.op(Op.i32Add);
    }
    if (displacement !== 0n) code.i32(Number(displacement)).op(Op.i32Add);
    code.op(Op.i64ExtendI32U);
  }

  /** Pushes the effective address, as i64. */
  effectiveAddress(): void {
    const memory = this.insn.memory;
    if (memory === undefined) throw new Error('the instruction has no memory operand');
    const { code } = this;
    const { base, index, scale, displacement, addressBits } = memory;
    if (this.bits === 32 && addressBits === 32) {
      this.effectiveAddress32(memory);
      return;
    }
    let pushed = false;
    if (base >= 0) {
      this.gpr(base);
      pushed = true;
    }
    if (index >= 0) {
      this.gpr(index);
      if (scale > 1) code.i64(BigInt(Math.log2(scale))).op(Op.i64Shl);
      if (pushed) code.op(Op.i64Add);
      pushed = true;
    }
    if (displacement !== 0n || !pushed) {
      code.i64(displacement);
      if (pushed) code.op(Op.i64Add);
    }
    if (addressBits !== 64) code.i64(addressBits === 32 ? LOW_HALF : 0xffffn).op(Op.i64And);
  }

  /** Turns the offset on the stack into the linear address of `bytes` bytes in a segment; in 32-bit code they must lie within its limit. */
  addSegmentBase(segment: number, bytes: number): void {
    if (segment !== FS && segment !== GS) return;
    if (this.bits === 32) this.checkSegment(segment === FS ? STATE.fsEnd : STATE.gsEnd, bytes);
    this.code.loadAt(Op.i64Load, segment === FS ? STATE.fsBase : STATE.gsBase).op(Op.i64Add);
    this.wrap();
  }

  private checkSegment(end: number, bytes: number): void {
    const { code } = this;
    const offset = this.scratch(I64);
    code.tee(offset).i64(BigInt(bytes)).op(Op.i64Add).loadAt(Op.i64Load, end).op(Op.i64GtU);
    this.faultIf(GENERAL_PROTECTION);
    code.get(offset);
  }

  /** Checks the explicit memory operand and records its address. */
  accessOperand(bytes: number, writes: boolean): Place {
    const memory = this.insn.memory;
    if (memory === undefined) throw new Error('the instruction has no memory operand');
    const planned = this.careful ? undefined : planOperand(this.#values, memory, bytes, writes, this.bits);
    if (planned !== undefined) return this.accessPlanned(planned, () => this.effectiveAddress());
    this.effectiveAddress();
    this.addSegmentBase(memory.segment, bytes);
    return this.accessAddress(bytes, writes);
  }

  /** Checks `displacement(register)`. */
  accessRegister(register: number, displacement: number, bytes: number, writes: boolean): Place {
    const push = (): void => {
      this.gpr(register);
      if (displacement !== 0) this.addToAddress(displacement);
    };
    if (!this.careful) return this.accessPlanned(this.#values.plan(register, displacement, bytes, writes), push);
    push();
    return this.accessAddress(bytes, writes);
  }

  private accessPlanned(access: PlannedAccess, pushAddress: () => void): Place {
    const known = this.#ranges.get(access.key);
    const end = access.offset + access.bytes;
    if (known !== undefined && access.offset >= known.low && end <= known.high && (known.writes || !access.writes)) {
      return this.recorded({ local: known.local, offset: access.offset - known.low });
    }
    const range = this.rangeFor(access);
    pushAddress();
    if (access.offset !== range.low) this.addToAddress(range.low - access.offset);
    const local = this.code.local(I32);
    this.check(local, {
      firstOffset: access.offset - range.low,
      firstBytes: access.bytes,
      firstWrites: access.writes,
      rangeBytes: range.high - range.low,
      rangeWrites: range.writes,
    });
    this.#ranges.set(access.key, { ...range, local });
    return this.recorded({ local, offset: access.offset - range.low });
  }

  private rangeFor(access: PlannedAccess): Range {
    const end = access.offset + access.bytes;
    const planned = this.#planned.get(access.key);
    if (
      planned !== undefined &&
      planned.low <= access.offset &&
      planned.high >= end &&
      (planned.writes || !access.writes)
    ) {
      return planned;
    }
    return { low: access.offset, high: end, writes: access.writes };
  }

  /** Pops an address and checks an access of a single datum there. */
  accessAddress(bytes: number, writes: boolean): Place {
    const local = this.scratch(I32);
    this.check(local, {
      firstOffset: 0,
      firstBytes: bytes,
      firstWrites: writes,
      rangeBytes: bytes,
      rangeWrites: writes,
    });
    return this.recorded({ local, offset: 0 });
  }

  /**
   * The one emitter of address translation: pops a virtual address (i64) and sets `local` to the WebAssembly address,
   * or leaves. The tag is compared with the page of the last byte, so that accesses across pages never match.
   */
  private check(local: number, wanted: Omit<Site, 'block' | 'instruction' | 'user' | 'flagKind' | 'slot'>): void {
    const { code } = this;
    const address = this.scratch(I64);
    code.set(address);
    this.flushRegisters();
    const site = this.site(wanted);
    if (this.careful) {
      this.storeLeft(false);
      code.get(address).i32(site).call(this.context.helpers.careful).tee(local).op(Op.i32Eqz).ifUnlikely();
      code.op(Op.return).end();
      return;
    }
    const entry = this.scratch(I32);
    const tlb = tlbAddress(this.user);
    code.get(address).op(Op.i32WrapI64).i32(7).op(Op.i32ShrU);
    code
      .i32((TLB.entries - 1) * TLB.entryBytes)
      .op(Op.i32And)
      .set(entry);
    code.get(entry).memory(Op.i64Load, tlb + (wanted.rangeWrites ? TLB.writeTag : TLB.readTag));
    code.get(address);
    if (wanted.rangeBytes > 1) code.i64(BigInt(wanted.rangeBytes - 1)).op(Op.i64Add);
    code.i64(PAGE_MASK).op(Op.i64And).op(Op.i64Ne);
    code
      .get(address)
      .op(Op.i32WrapI64)
      .get(entry)
      .memory(Op.i32Load, tlb + TLB.addend)
      .op(Op.i32Add)
      .set(local);
    code.ifUnlikely();
    this.storeLeft(false);
    code.get(address).i32(site).call(this.context.helpers.miss).tee(local).op(Op.i32Eqz).if().op(Op.return).end();
    code.end();
  }

  /** Appends the guest-physical address of the next reference slot. */
  private recorded(place: Place): Place {
    const slot = this.#slot++;
    if (!this.context.record) return place;
    const { code } = this;
    code.get(this.#addressPointer);
    if (this.careful) code.loadAt(Op.i32Load, STATE.accessPhys);
    else
      code
        .get(place.local)
        .i32(place.offset - REGION.ram)
        .op(Op.i32Add);
    code.memory(Op.i32Store, 4 * slot);
    return place;
  }

  /** Pushes what is at a place, zero-extended in the width's type. */
  load({ local, offset }: Place, width: Width): void {
    this.code.get(local).memory(LOADS[width], offset);
  }

  /** Stores what `value` pushes. */
  store({ local, offset }: Place, width: Width, value: () => void): void {
    this.code.get(local);
    value();
    this.code.memory(STORES[width], offset);
    this.afterStore();
  }

  afterStore(): void {
    if (!this.careful) return;
    this.code.loadAt(Op.i32Load, STATE.storePending).ifUnlikely().call(this.context.helpers.commit).end();
  }

  // ---- operands ----

  operand(index: number): Operand {
    const operand = this.insn.operands[index];
    if (operand === undefined) throw new Error(`the instruction has no operand ${index}`);
    return operand;
  }

  /** Pushes an operand of the given width, zero-extended in its type. */
  read(operand: Operand, width: Width): void {
    switch (operand.kind) {
      case 'register':
        this.readRegister(operand);
        return;
      case 'immediate':
        this.constant(operand.value, width);
        return;
      case 'memory':
        this.load(this.accessOperand(width / 8, false), width);
        return;
      default:
        throw new Error(`cannot read an operand of kind ${operand.kind}`);
    }
  }

  /** Pushes a constant of a width, zero-extended. */
  constant(value: bigint, width: Width): void {
    if (width === 64) this.code.i64(value);
    else this.code.i32(Number(BigInt.asUintN(width, value)) | 0);
  }

  /** Cuts the i32 on the stack to a width below 32 bits. */
  mask(width: Width): void {
    if (width === 8) this.code.i32(0xff).op(Op.i32And);
    else if (width === 16) this.code.i32(0xffff).op(Op.i32And);
  }

  /** Picks the i32 or i64 form of an operation. */
  sized(width: Width, narrow: number, wide: number): void {
    this.code.op(width === 64 ? wide : narrow);
  }

  /** The state area holds the flags now: a helper has written them. */
  flagsInMemory(): void {
    this.#flags = MEMORY_FLAGS;
  }

  /** A helper may have changed these registers in the state area. */
  reload(registers: readonly number[]): void {
    for (const register of registers) {
      this.#available &= ~(1 << register);
      this.#dirty &= ~(1 << register);
      if (this.context.passedRegisters.includes(register)) this.ensure(register);
    }
    this.#values.forget();
    this.#ranges = new Map();
  }

  /** A helper has appended to the columns. */
  reloadPointers(): void {
    if (!this.context.record) return;
    this.code.loadAt(Op.i32Load, STATE.eventPointer).set(this.#eventPointer);
    this.code.loadAt(Op.i32Load, STATE.addressPointer).set(this.#addressPointer);
  }

  /** Stores everything in the state area, with the current instruction as `rip`, for a helper that may leave. */
  storeAll(): void {
    this.flushRegisters();
    this.storeLeft(true);
    this.storeRip(this.insn.address);
  }
}
