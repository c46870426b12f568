import { Mnemonic } from 'iced-x86';
import type { CpuState } from './cpu-state.js';
import { cpuidLeaf } from './cpuid.js';
import type { Bits, Insn, MemoryOperand, Operand } from './decode.js';
import { IF, IOPL, OF } from './flags.js';
import { GuestFault, GuestStopped, lacks, Vector } from './guest-fault.js';
import { type GuestMemory, halves } from './guest-memory.js';
import { type AccessKind, accessKind, KERNEL_WRITE } from './mmu.js';
import type { Platform } from './platform.js';
import type { Recorder } from './recorder.js';
import type { SegmentUnit } from './segments.js';
import type { StateField } from './state-layout.js';
import type { SystemResult } from './system-result.js';
import { Transfers32 } from './transfers-32.js';
import { Transfers64 } from './transfers-64.js';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;

const CR0_WRITABLE = 0xe005003fn;
const CR0_PG = 0x80000000n;
const CR0_PE = 1n;
const CR0_ET = 0x10n;
const CR0_TS = 8n;
const CR0_CD_NW = 0x60000000n;
const CR0_NW = 0x20000000n;
const CR4_TSD = 4n;
const CR4_PAE = 0x20n;
/** Bits of physical addresses, as cpuid says. */
const PHYSICAL_BITS = 36n;
/** VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT. */
const CR4_WRITABLE = 0x7ffn;
const EFER_WRITABLE = 0x901n;
const EFER_READ_ONLY = 0x400n;
const EFER_LME = 0x100n;
/** NXE: a processor without SYSCALL and long mode (docs/adr/006). */
const EFER_WRITABLE_32 = 0x800n;

/** Model-specific registers that live in a field of the state (SDM vol. 4). */
const MSRS: ReadonlyMap<number, StateField> = new Map([
  [0x174, 'sysenterCs'],
  [0x175, 'sysenterEsp'],
  [0x176, 'sysenterEip'],
  [0xc0000081, 'star'],
  [0xc0000082, 'lstar'],
  [0xc0000083, 'cstar'],
  [0xc0000084, 'sfmask'],
  [0xc0000100, 'fsBase'],
  [0xc0000101, 'gsBase'],
  [0xc0000102, 'kernelGsBase'],
]);
const MSR_EFER = 0xc0000080;
/** From here on MSRs belong to long mode. */
const FIRST_LONG_MSR = 0xc0000081;
const MSR_TSC = 0x10;
/** MSRs that hold addresses and refuse non-canonical ones. */
const ADDRESS_MSRS = new Set<number>([0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102]);

const NEXT: SystemResult = { kind: 'next' };
const JUMPED: SystemResult = { kind: 'jumped' };

/** Runs the system instructions that generated code leaves to JavaScript (SDM vol. 2 and 3A). All registers are in the state area. */
export class SystemUnit {
  readonly #cpu: CpuState;
  readonly #memory: GuestMemory;
  readonly #recorder: Recorder;
  readonly #platform: Platform;
  readonly #invalidatePage: (low: number, high: number) => void;
  readonly #bits: Bits;
  readonly #segments: SegmentUnit;
  readonly #handlers: ReadonlyMap<Mnemonic, (insn: Insn) => SystemResult>;

  constructor(
    cpu: CpuState,
    memory: GuestMemory,
    recorder: Recorder,
    platform: Platform,
    invalidatePage: (low: number, high: number) => void,
    segments: SegmentUnit,
    bits: Bits,
  ) {
    this.#bits = bits;
    this.#segments = segments;
    this.#cpu = cpu;
    this.#memory = memory;
    this.#recorder = recorder;
    this.#platform = platform;
    this.#invalidatePage = invalidatePage;
    this.#handlers = new Map<Mnemonic, (insn: Insn) => SystemResult>([
      [Mnemonic.Mov, (insn) => this.#move(insn)],
      [Mnemonic.Pop, (insn) => this.#popSegment(insn)],
      ...this.#transfers(new Transfers32(cpu, memory, recorder, segments), new Transfers64(cpu, memory, recorder)),
      [Mnemonic.Into, (insn) => this.#overflowInterrupt(insn)],
      [Mnemonic.Int, (insn) => this.#softwareInterrupt(insn)],
      [Mnemonic.Int3, (insn) => deliver(insn, Vector.breakpoint)],
      [Mnemonic.Int1, (insn) => deliver(insn, Vector.debug)],
      [Mnemonic.Hlt, () => this.#privileged(() => ({ kind: 'halt' }))],
      [Mnemonic.In, (insn) => this.#in(insn)],
      [Mnemonic.Out, (insn) => this.#out(insn)],
      [Mnemonic.Rdmsr, () => this.#privileged(() => this.#readMsr())],
      [Mnemonic.Wrmsr, () => this.#privileged(() => this.#writeMsr())],
      [Mnemonic.Rdtsc, () => this.#readTimeStamp()],
      [Mnemonic.Cpuid, () => this.#identify()],
      [Mnemonic.Invlpg, (insn) => this.#privileged(() => this.#invalidate(insn))],
      [Mnemonic.Wbinvd, () => this.#privileged(() => NEXT)],
      [Mnemonic.Invd, () => this.#privileged(() => NEXT)],
      [Mnemonic.Clts, () => this.#privileged(() => this.#clearTaskSwitched())],
      [Mnemonic.Lmsw, (insn) => this.#privileged(() => this.#loadMachineStatus(insn))],
      [Mnemonic.Smsw, (insn) => this.#store(insn, this.#cpu.u64('cr0') & 0xffffn)],
      [Mnemonic.Lgdt, (insn) => this.#privileged(() => this.#loadTable(insn, 'gdtr'))],
      [Mnemonic.Lidt, (insn) => this.#privileged(() => this.#loadTable(insn, 'idtr'))],
      [Mnemonic.Sgdt, (insn) => this.#storeTable(insn, 'gdtr')],
      [Mnemonic.Sidt, (insn) => this.#storeTable(insn, 'idtr')],
      [Mnemonic.Ltr, (insn) => this.#privileged(() => this.#loadSystemSegment(insn, 'tr'))],
      [Mnemonic.Lldt, (insn) => this.#privileged(() => this.#loadSystemSegment(insn, 'ldtr'))],
      [Mnemonic.Str, (insn) => this.#store(insn, BigInt(this.#cpu.selector('tr')))],
      [Mnemonic.Sldt, (insn) => this.#store(insn, BigInt(this.#cpu.selector('ldtr')))],
      [Mnemonic.Sti, () => this.#changeInterruptFlag(true)],
      [Mnemonic.Cli, () => this.#changeInterruptFlag(false)],
      [Mnemonic.Swapgs, () => this.#privileged(() => NEXT)],
    ]);
  }

  /** @throws GuestFault when the instruction faults (nothing has changed then), GuestStopped when it is beyond this machine */
  run(insn: Insn): SystemResult {
    const handler = this.#handlers.get(insn.mnemonic);
    if (handler === undefined) throw new GuestFault(Vector.undefinedOpcode);
    return handler(insn);
  }

  #privileged(action: () => SystemResult): SystemResult {
    if (this.#cpu.cpl !== 0) throw new GuestFault(Vector.generalProtection);
    return action();
  }

  // ---- operands ----

  #address(memory: MemoryOperand): bigint {
    const cpu = this.#cpu;
    let address = memory.displacement;
    if (memory.base >= 0) address += cpu.gpr(memory.base);
    if (memory.index >= 0) address += cpu.gpr(memory.index) * BigInt(memory.scale);
    if (memory.addressBits !== 64) address = BigInt.asUintN(memory.addressBits, address);
    if (memory.segment === 4) address += cpu.fsBase;
    if (memory.segment === 5) address += cpu.gsBase;
    return BigInt.asUintN(this.#bits, address);
  }

  #operandAddress(insn: Insn): bigint {
    if (insn.memory === undefined) throw new GuestFault(Vector.undefinedOpcode);
    return this.#address(insn.memory);
  }

  /** Records the guest-physical address of the instruction's next reference slot. */
  #recordSlot(address: bigint, kind: AccessKind): void {
    if (!this.#recorder.enabled) return;
    const [low, high] = halves(address);
    this.#recorder.address(this.#memory.translate(low, high, kind));
  }

  #read(insn: Insn, operand: Operand | undefined, bytes: number): bigint {
    if (operand?.kind === 'register') return BigInt.asUintN(bytes * 8, this.#cpu.gpr(operand.register));
    if (operand?.kind === 'immediate') return operand.value;
    const address = this.#operandAddress(insn);
    const value = this.#memory.read(address, bytes, accessKind(this.#cpu.cpl === 3, false));
    this.#recordSlot(address, accessKind(this.#cpu.cpl === 3, false));
    return value;
  }

  /** Stores a 16-bit system register: zero-extended in a register (SDM vol. 2, SLDT, STR, SMSW). */
  #store(insn: Insn, value: bigint): SystemResult {
    const [to] = insn.operands;
    if (to?.kind === 'register') {
      const old = this.#cpu.gpr(to.register);
      this.#cpu.setGpr(to.register, to.width === 16 ? (old & ~0xffffn) | value : value);
      return NEXT;
    }
    const address = this.#operandAddress(insn);
    this.#memory.write(address, 2, value, accessKind(this.#cpu.cpl === 3, true));
    this.#recordSlot(address, KERNEL_WRITE);
    return NEXT;
  }

  // ---- control, debug and selector registers ----

  #move(insn: Insn): SystemResult {
    const [to, from] = insn.operands;
    if (to?.kind === 'segment') {
      this.#segments.load(to.register, Number(this.#read(insn, from, 2) & 0xffffn));
      return NEXT;
    }
    return this.#privileged(() => this.#movePrivileged(to, from));
  }

  #movePrivileged(to: Operand | undefined, from: Operand | undefined): SystemResult {
    const cpu = this.#cpu;
    if (to?.kind === 'control' && from?.kind === 'register') {
      this.#writeControl(to.register, cpu.gpr(from.register));
    } else if (to?.kind === 'debug' && from?.kind === 'register') {
      cpu.setU64(debugField(to.register), cpu.gpr(from.register));
    } else if (to?.kind === 'register' && from?.kind === 'debug') {
      cpu.setGpr(to.register, cpu.u64(debugField(from.register)));
    } else throw new GuestFault(Vector.undefinedOpcode);
    return NEXT;
  }

  #writeControl(register: number, value: bigint): void {
    const cpu = this.#cpu;
    switch (register) {
      case 0:
        if (!isControlWord(value)) throw new GuestFault(Vector.generalProtection);
        if ((value & CR0_PG) === 0n)
          throw new GuestStopped(
            'guest/failed',
            `the guest switches paging off in ${this.#bits === 64 ? 'long' : 'protected'} mode`,
          );
        cpu.cr0 = (value & CR0_WRITABLE) | CR0_ET;
        return;
      case 2:
        cpu.cr2 = value;
        return;
      case 3:
        if (value >> PHYSICAL_BITS !== 0n || !this.#platform.isRoot(value))
          throw new GuestFault(Vector.generalProtection);
        this.#platform.loadPageTables(value);
        return;
      case 4:
        if ((value & ~CR4_WRITABLE) !== 0n) throw new GuestFault(Vector.generalProtection);
        if ((value & CR4_PAE) === 0n && (cpu.efer & EFER_READ_ONLY) !== 0n)
          throw new GuestFault(Vector.generalProtection);
        if (this.#bits === 32 && ((value ^ cpu.cr4) & CR4_PAE) !== 0n)
          throw lacks('changes the kind of its page tables');
        cpu.cr4 = value;
        return;
      default:
        throw new GuestFault(Vector.undefinedOpcode);
    }
  }

  #popSegment(insn: Insn): SystemResult {
    const [to] = insn.operands;
    if (to?.kind !== 'segment') throw new GuestFault(Vector.undefinedOpcode);
    const cpu = this.#cpu;
    const rsp = cpu.gpr(RSP);
    const kind = accessKind(cpu.cpl === 3, false);
    const selector = Number(this.#memory.read(rsp, insn.stackIncrement, kind) & 0xffffn);
    this.#segments.load(to.register, selector);
    this.#recordSlot(rsp, kind);
    cpu.setGpr(RSP, BigInt.asUintN(this.#bits, rsp + BigInt(insn.stackIncrement)));
    return NEXT;
  }

  #clearTaskSwitched(): SystemResult {
    this.#cpu.setU64('cr0', this.#cpu.cr0 & ~CR0_TS);
    return NEXT;
  }

  #loadMachineStatus(insn: Insn): SystemResult {
    const value = this.#read(insn, insn.operands[0], 2) & 0xfn;
    const cpu = this.#cpu;
    cpu.setU64('cr0', (cpu.cr0 & ~0xen) | value);
    return NEXT;
  }

  #invalidate(insn: Insn): SystemResult {
    const [low, high] = halves(this.#operandAddress(insn));
    this.#invalidatePage(low, high);
    return NEXT;
  }

  #loadTable(insn: Insn, table: 'gdtr' | 'idtr'): SystemResult {
    const address = this.#operandAddress(insn);
    const kind = accessKind(false, false);
    const limit = Number(this.#memory.read(address, 2, kind));
    const base = this.#memory.read(BigInt.asUintN(this.#bits, address + 2n), this.#bits / 8, kind);
    this.#cpu[table] = { base, limit };
    return NEXT;
  }

  #storeTable(insn: Insn, table: 'gdtr' | 'idtr'): SystemResult {
    const address = this.#operandAddress(insn);
    const kind = accessKind(this.#cpu.cpl === 3, true);
    const { base, limit } = this.#cpu[table];
    this.#memory.write(BigInt.asUintN(this.#bits, address + 2n), this.#bits / 8, base, kind);
    this.#memory.write(address, 2, BigInt(limit), kind);
    return NEXT;
  }

  #loadSystemSegment(insn: Insn, register: 'tr' | 'ldtr'): SystemResult {
    this.#segments.loadSystem(register, Number(this.#read(insn, insn.operands[0], 2) & 0xffffn));
    return NEXT;
  }

  // ---- flags, transfers ----

  #changeInterruptFlag(set: boolean): SystemResult {
    const cpu = this.#cpu;
    const iopl = (cpu.u32('systemFlags') & IOPL) >>> 12;
    if (cpu.cpl > iopl) throw new GuestFault(Vector.generalProtection);
    const before = cpu.u32('systemFlags');
    cpu.setU32('systemFlags', set ? before | IF : before & ~IF);
    return set && (before & IF) === 0 ? { kind: 'shadow' } : NEXT;
  }

  /** Far transfers of the machine's mode; narrower ones are no instructions of this machine. */
  #transfers(of32: Transfers32, of64: Transfers64): [Mnemonic, (insn: Insn) => SystemResult][] {
    const actions: readonly (readonly [Mnemonic, (insn: Insn) => void])[] =
      this.#bits === 32
        ? [
            [Mnemonic.Iretd, () => of32.interruptReturn()],
            [Mnemonic.Sysexit, () => of32.systemExit()],
            [Mnemonic.Retf, (insn) => of32.farReturn(insn)],
            [Mnemonic.Jmp, (insn) => of32.farJump(insn)],
            ...FAR_POINTERS.map((mnemonic) => [mnemonic, () => of32.refuseFarPointer()] as const),
          ]
        : [
            [Mnemonic.Iretq, () => of64.interruptReturn()],
            [Mnemonic.Sysretq, () => of64.systemReturn()],
            [Mnemonic.Retf, () => of64.farReturn()],
          ];
    return actions.map(([mnemonic, transfer]) => [
      mnemonic,
      (insn) => {
        transfer(insn);
        return JUMPED;
      },
    ]);
  }

  #overflowInterrupt(insn: Insn): SystemResult {
    return (this.#cpu.flags & OF) === 0 ? NEXT : deliver(insn, Vector.overflow);
  }

  #softwareInterrupt(insn: Insn): SystemResult {
    const [vector] = insn.operands;
    if (vector?.kind !== 'immediate') throw new GuestFault(Vector.undefinedOpcode);
    return deliver(insn, Number(BigInt.asUintN(8, vector.value)));
  }

  // ---- ports, MSRs, identification ----

  #port(operand: Operand | undefined): number {
    if (this.#cpu.cpl > (this.#cpu.u32('systemFlags') & IOPL) >>> 12) throw new GuestFault(Vector.generalProtection);
    if (operand?.kind === 'immediate') return Number(BigInt.asUintN(8, operand.value));
    if (operand?.kind !== 'register') throw new GuestFault(Vector.undefinedOpcode);
    return this.#cpu.gprLow(RDX) & 0xffff;
  }

  #in(insn: Insn): SystemResult {
    const [to, from] = insn.operands;
    const value = this.#platform.in(this.#port(from));
    const cpu = this.#cpu;
    const width = to?.kind === 'register' ? to.width : 32;
    if (width === 32) cpu.setGprHalves(RAX, value, 0);
    else {
      const mask = width === 16 ? 0xffff : 0xff;
      cpu.setGprHalves(RAX, (cpu.gprLow(RAX) & ~mask) | (value & mask), cpu.gprHigh(RAX));
    }
    return NEXT;
  }

  #out(insn: Insn): SystemResult {
    const [to, from] = insn.operands;
    const width = from?.kind === 'register' ? from.width : 32;
    const value = this.#cpu.gprLow(RAX) & (width === 32 ? -1 : (1 << width) - 1);
    return this.#platform.out(this.#port(to), value >>> 0);
  }

  #msrField(number: number): StateField | undefined {
    return this.#bits === 32 && number >= FIRST_LONG_MSR ? undefined : MSRS.get(number);
  }

  #readMsr(): SystemResult {
    const cpu = this.#cpu;
    const number = cpu.gprLow(RCX);
    const field = this.#msrField(number);
    let value: bigint;
    if (field !== undefined) value = cpu.u64(field);
    else if (number === MSR_EFER) value = cpu.efer;
    else if (number === MSR_TSC) value = this.#platform.timeStamp();
    else throw new GuestFault(Vector.generalProtection);
    this.#setPair(value);
    return NEXT;
  }

  #setPair(value: bigint): void {
    const [low, high] = halves(value);
    this.#cpu.setGprHalves(RAX, low, 0);
    this.#cpu.setGprHalves(RDX, high, 0);
  }

  #writeMsr(): SystemResult {
    const cpu = this.#cpu;
    const number = cpu.gprLow(RCX);
    const value = (BigInt(cpu.gprLow(RDX)) << 32n) | BigInt(cpu.gprLow(RAX));
    const field = this.#msrField(number);
    const canonical = BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;
    if (ADDRESS_MSRS.has(number) && !canonical) throw new GuestFault(Vector.generalProtection);
    if (field !== undefined) cpu.setU64(field, value);
    else if (number === MSR_EFER) this.#writeExtendedFeatures(value);
    else throw new GuestFault(Vector.generalProtection);
    return NEXT;
  }

  /** Long mode is switched on and off while paging is off; that it is active cannot be written (SDM vol. 4, IA32_EFER). */
  #writeExtendedFeatures(value: bigint): void {
    const cpu = this.#cpu;
    const switches = ((value ^ cpu.efer) & EFER_LME) !== 0n && (cpu.cr0 & CR0_PG) !== 0n;
    const writable = this.#bits === 64 ? EFER_WRITABLE : EFER_WRITABLE_32;
    const known = this.#bits === 64 ? writable | EFER_READ_ONLY : writable;
    if (switches || (value & ~known) !== 0n) throw new GuestFault(Vector.generalProtection);
    cpu.efer = (value & writable) | (cpu.efer & EFER_READ_ONLY);
  }

  #readTimeStamp(): SystemResult {
    if (this.#cpu.cpl !== 0 && (this.#cpu.cr4 & CR4_TSD) !== 0n) throw new GuestFault(Vector.generalProtection);
    this.#setPair(this.#platform.timeStamp());
    return NEXT;
  }

  #identify(): SystemResult {
    const cpu = this.#cpu;
    const [eax, ebx, ecx, edx] = cpuidLeaf(cpu.gprLow(RAX), this.#bits);
    for (const [register, value] of [
      [RAX, eax],
      [RBX, ebx],
      [RCX, ecx],
      [RDX, edx],
    ] as const) {
      cpu.setGprHalves(register, value, 0);
    }
    return NEXT;
  }
}

/** What CR0 may hold: 32 bits, paging only with protection, not-write-through only with the cache disabled (SDM vol. 3A, 2.5). */
const isControlWord = (value: bigint): boolean =>
  value >> 32n === 0n && ((value & CR0_PG) === 0n || (value & CR0_PE) !== 0n) && (value & CR0_CD_NW) !== CR0_NW;

const deliver = ({ address, next }: Insn, vector: number): SystemResult => ({
  kind: 'deliver',
  delivery: { vector, errorCode: 0, cause: 'software', lengthBytes: next - address },
});

/** Calls through far pointers, and loads of them. */
const FAR_POINTERS = [Mnemonic.Call, Mnemonic.Les, Mnemonic.Lds, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lss] as const;

const debugField = (register: number): StateField => {
  const field = DEBUG_FIELDS[register];
  if (field === undefined) throw new GuestFault(Vector.undefinedOpcode);
  return field;
};

const DEBUG_FIELDS: readonly (StateField | undefined)[] = ['dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7', 'dr6', 'dr7'];
