import { GuestFault, type Hypervisor, type Machine, type TrappedInstruction } from '@pvtrail/emulator';
import { TRAP_KINDS } from '@pvtrail/trace';
import type { MachineFrames } from './frames.js';
import type { GuestUnderXen, Handler } from './guest-under-xen.js';
import { Hypercalls } from './hypercalls.js';
import { type PageTables, refusal } from './page-tables.js';

const RAX = 0;
const RCX = 1;
const RSP = 4;
const R11 = 11;

/** CR0: PG, WP, NE, ET, MP, PE; CR4: PGE, PAE, PSE; EFER: NXE, LMA, LME, SCE. */
const CR0 = 0x80010033n;
const CR4 = 0xb0n;
const EFER = 0xd01n;
const IF = 0x200n;

/** Where `syscall` leads: an address of the hypervisor, where the guest has no code. */
const SYSTEM_CALL_ENTRY = 0xffff828000000000n;
const HYPERCALL_IRET = 23;
const KERNEL_CS = 0x10;
const KERNEL_SS = 0x18;
const PAGE_FAULT = 14;
const UNDEFINED_OPCODE = 6;
/** Vectors 8, 10 to 14 and 17 push an error code. */
const WITH_ERROR_CODE = 0x27d00;
const WRITE_TO_READ_ONLY = 3;

/** ud2, "xen", cpuid. */
const FORCED_CPUID = [0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2] as const;

const Shared = { pending: 2048, mask: 2560 } as const;
const FIRST_PORT = 1;
const ENTRIES = 512;
const PAGE_BYTES = 4096;
/** A table before and after a store that is emulated. */
const BEFORE = new Uint32Array(2 * ENTRIES);
const AFTER = new Uint32Array(2 * ENTRIES);
const FIRST_VECTOR = 0x20;

/** The hypervisor of one 64-bit paravirtual guest: modes, entries and returns, events (docs/adr/007). */
export class XenHypervisor implements Hypervisor, GuestUnderXen {
  readonly traps = new Map<number, Handler>();
  readonly callbacks = new Map<number, Handler>();
  readonly #hypercalls: Hypercalls;
  readonly #view: DataView;
  /** Machine addresses. */
  readonly #shared: number;
  vcpuInfo: number;
  readonly sharedFrame: number;
  kernelRoot: number;
  userRoot = 0;
  kernelStack = 0n;
  /** The GS base that is not live. */
  otherGsBase = 0n;

  constructor(
    readonly machine: Machine,
    readonly tables: PageTables,
    readonly frames: MachineFrames,
    { root, sharedFrame }: { readonly root: number; readonly sharedFrame: number },
  ) {
    const { ram } = machine;
    this.#view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
    this.sharedFrame = sharedFrame;
    this.#shared = sharedFrame * 4096;
    this.vcpuInfo = this.#shared;
    this.kernelRoot = root;
    this.#hypercalls = new Hypercalls(this);
  }

  /** Puts the CPU into the state of docs/adr/007. */
  start(entry: bigint): void {
    const { cpu } = this.machine;
    cpu.cr0 = CR0;
    cpu.cr4 = CR4;
    cpu.efer = EFER;
    cpu.cr3 = BigInt(this.kernelRoot * 4096);
    cpu.lstar = SYSTEM_CALL_ENTRY;
    cpu.rflags = IF | 2n;
    cpu.setSelector('cs', KERNEL_CS);
    cpu.setSelector('ss', KERNEL_SS);
    cpu.rip = entry;
    this.eventsMasked = true;
    this.machine.attach(this);
  }

  get eventsMasked(): boolean {
    return this.#view.getUint8(this.vcpuInfo + 1) !== 0;
  }

  set eventsMasked(masked: boolean) {
    this.#view.setUint8(this.vcpuInfo + 1, masked ? 1 : 0);
  }

  /** Whether the guest keeps its vcpu_info in its own per-CPU area: the condition of the direct irq ops (domain.md §5.2). */
  get vcpuPlacement(): boolean {
    return this.vcpuInfo !== this.#shared;
  }

  get #eventsPending(): boolean {
    return this.#view.getUint8(this.vcpuInfo) !== 0;
  }

  // ---- what the machine hands over ----

  instruction({ kind, next }: TrappedInstruction): 'done' | 'halt' | 'pass' {
    if (kind !== 'system-call') {
      if (kind === 'privileged') this.machine.recordTrap(TRAP_KINDS['emulated-instruction']);
      return 'pass';
    }
    const { cpu } = this.machine;
    const number = cpu.gprLow(RAX);
    this.machine.recordTrap(TRAP_KINDS.hypercall);
    if (number === HYPERCALL_IRET) {
      this.#return();
      this.#deliverEvents();
      return 'done';
    }
    cpu.setGpr(RCX, next);
    cpu.setGpr(R11, cpu.rflags);
    cpu.rip = next;
    cpu.setGpr(RAX, BigInt.asUintN(64, this.#hypercalls.run(number)));
    if (this.#hypercalls.takeBlocked() && !this.#eventsPending) return 'halt';
    this.#deliverEvents();
    return 'done';
  }

  exception(vector: number, errorCode: number, address: bigint): void {
    if (this.machine.cpu.cpl === 0 && this.#handledHere(vector, errorCode, address)) return;
    this.machine.recordTrap(TRAP_KINDS.exception);
    if (vector === PAGE_FAULT) this.#view.setBigUint64(this.vcpuInfo + 16, address, true);
    const handler = this.traps.get(vector);
    if (handler === undefined) throw refusal(`no handler for exception ${vector}`);
    this.#enter(handler, (WITH_ERROR_CODE >>> vector) & 1 ? errorCode : undefined);
  }

  /** Faults of kernel mode that the kernel never hears of. */
  #handledHere(vector: number, errorCode: number, address: bigint): boolean {
    if (vector === PAGE_FAULT && this.machine.cpu.rip === SYSTEM_CALL_ENTRY) {
      this.#systemCall();
      return true;
    }
    if (vector === PAGE_FAULT) return errorCode === WRITE_TO_READ_ONLY && this.#emulatedWrite(address);
    if (vector !== UNDEFINED_OPCODE || !this.#isForcedCpuid()) return false;
    this.#identify();
    return true;
  }

  interrupt(vector: number): void {
    const port = vector - FIRST_VECTOR + FIRST_PORT;
    const pending = this.#view.getBigUint64(this.#shared + Shared.pending, true) | (1n << BigInt(port));
    this.#view.setBigUint64(this.#shared + Shared.pending, pending, true);
    const masks = this.#view.getBigUint64(this.#shared + Shared.mask, true);
    if (((masks >> BigInt(port)) & 1n) !== 0n) return;
    this.#view.setBigUint64(this.vcpuInfo + 8, 1n, true);
    this.#view.setUint8(this.vcpuInfo, 1);
    this.#deliverEvents();
  }

  #deliverEvents(): void {
    const handler = this.callbacks.get(CALLBACK_EVENT);
    if (!this.#eventsPending || this.eventsMasked || handler === undefined) return;
    this.machine.recordTrap(TRAP_KINDS.upcall);
    this.#enter(handler, undefined);
  }

  // ---- entries and returns ----

  #systemCall(): void {
    const { cpu } = this.machine;
    this.machine.recordTrap(TRAP_KINDS['system-call']);
    const handler = this.callbacks.get(CALLBACK_SYSTEM_CALL);
    if (handler === undefined) throw refusal('no callback for system calls');
    cpu.rip = cpu.gpr(RCX);
    cpu.rflags = cpu.gpr(R11);
    cpu.cpl = 3;
    this.#enter(handler, undefined, { cs: USER_CS, ss: USER_SS });
  }

  /** Builds the frame: upwards rcx, r11, error code, rip, cs, rflags, rsp, ss. */
  #enter(handler: Handler, errorCode: number | undefined, selectors = this.#selectors()): void {
    const { cpu } = this.machine;
    const fromUser = cpu.cpl === 3;
    const rsp = cpu.gpr(RSP);
    const flags = (cpu.rflags & ~IF) | (this.eventsMasked ? 0n : IF);
    const words = [BigInt(selectors.ss), rsp, flags, BigInt(selectors.cs), cpu.rip];
    if (errorCode !== undefined) words.push(BigInt(errorCode));
    words.push(cpu.gpr(R11), cpu.gpr(RCX));
    if (fromUser) this.#switchMode(0);
    const top = (fromUser ? this.kernelStack : rsp) & ~0xfn;
    const bottom = behind(top, -words.length);
    this.#writeFrame(bottom, words.reverse());
    cpu.setGpr(RSP, bottom);
    cpu.rflags = (cpu.rflags & ~0x14100n) | IF;
    cpu.setSelector('cs', KERNEL_CS);
    cpu.setSelector('ss', KERNEL_SS);
    cpu.rip = handler.address;
    if (handler.masksEvents) this.eventsMasked = true;
  }

  /** The hypervisor has nowhere to go with an entry whose frame it cannot write. */
  #writeFrame(bottom: bigint, words: readonly bigint[]): void {
    try {
      this.#writeWords(bottom, words);
    } catch (problem) {
      if (problem instanceof GuestFault) throw refusal(`no frame can be written at 0x${bottom.toString(16)}`);
      throw problem;
    }
  }

  #selectors(): { cs: number; ss: number } {
    const { cpu } = this.machine;
    return { cs: cpu.selector('cs'), ss: cpu.selector('ss') };
  }

  /** iret: rax, r11, rcx, flags, rip, cs, rflags, rsp, ss. */
  #return(): void {
    const { cpu } = this.machine;
    const [rax, r11, rcx, , rip, cs, flags, rsp, ss] = this.#readWords(cpu.gpr(RSP), 9);
    const selector = Number((cs ?? 0n) & 0xffffn);
    cpu.setGpr(RAX, rax ?? 0n);
    cpu.setGpr(R11, r11 ?? 0n);
    cpu.setGpr(RCX, rcx ?? 0n);
    cpu.rip = rip ?? 0n;
    cpu.setGpr(RSP, rsp ?? 0n);
    cpu.rflags = (flags ?? 0n) | IF | 2n;
    this.eventsMasked = ((flags ?? 0n) & IF) === 0n;
    cpu.setSelector('cs', selector);
    cpu.setSelector('ss', Number((ss ?? 0n) & 0xffffn));
    if ((selector & 3) === 3) this.#switchMode(3);
  }

  /** The other mode's root and GS base become the live ones. */
  #switchMode(level: 0 | 3): void {
    const { cpu } = this.machine;
    cpu.cpl = level;
    const root = level === 0 ? this.kernelRoot : this.userRoot;
    if (root === 0) throw refusal('user mode has no root');
    this.machine.switchPageTables(BigInt(root * 4096));
    const live = cpu.gsBase;
    cpu.gsBase = this.otherGsBase;
    this.otherGsBase = live;
  }

  // ---- emulation ----

  /** A store to a table that is pinned: the instruction runs with the page writable, then every entry that it changed is validated. */
  #emulatedWrite(address: bigint): boolean {
    const slot = this.slotOf(address);
    if (slot === undefined) return false;
    const entry = this.tables.read(slot.table, slot.index);
    const target = Number((entry & 0x000ffffffffff000n) >> 12n);
    const level = this.tables.levelOf(target);
    if (level < 1 || level > 4) return false;
    const { ram } = this.machine;
    const table = new Uint32Array(ram.buffer, ram.byteOffset + target * PAGE_BYTES, 2 * ENTRIES);
    BEFORE.set(table);
    this.machine.recordTrap(TRAP_KINDS['emulated-write']);
    this.#setRaw(slot.table, slot.index, entry | 2n);
    this.machine.flushPage(address);
    this.machine.runOne();
    this.#setRaw(slot.table, slot.index, entry);
    this.machine.flushPage(address);
    AFTER.set(table);
    table.set(BEFORE);
    for (let low = 0; low < AFTER.length; low += 2) {
      if (AFTER[low] === BEFORE[low] && AFTER[low + 1] === BEFORE[low + 1]) continue;
      this.tables.write(target, low >> 1, (BigInt(AFTER[low + 1] ?? 0) << 32n) | BigInt(AFTER[low] ?? 0));
    }
    return true;
  }

  #setRaw(frame: number, index: number, value: bigint): void {
    this.#view.setBigUint64(frame * 4096 + 8 * index, value, true);
  }

  #isForcedCpuid(): boolean {
    const at = this.machine.translate(this.machine.cpu.rip, false);
    return FORCED_CPUID.every((byte, offset) => this.#view.getUint8(at + offset) === byte);
  }

  /** The machine's own answer. */
  #identify(): void {
    this.machine.recordTrap(TRAP_KINDS['emulated-instruction']);
    this.machine.cpu.rip += 5n;
  }

  // ---- memory of the guest ----

  /** The shared page is the hypervisor's own: the only one of its frames that a guest's entry may name. */
  mapShared({ table, index }: { readonly table: number; readonly index: number }, value: bigint): void {
    this.tables.write(table, index, 0n);
    this.#setRaw(table, index, value | 4n);
  }

  /** The lowest-level entry that maps an address under the kernel's root. */
  slotOf(address: bigint): { readonly table: number; readonly index: number } | undefined {
    let table = this.kernelRoot;
    for (const shift of [39n, 30n, 21n]) {
      const entry = this.tables.read(table, Number((address >> shift) & 511n));
      if ((entry & 1n) === 0n) return undefined;
      table = Number((entry & 0x000ffffffffff000n) >> 12n);
    }
    return { table, index: Number((address >> 12n) & 511n) };
  }

  read(address: bigint): bigint {
    return this.#view.getBigUint64(this.machine.translate(address, false), true);
  }

  write(address: bigint, value: bigint): void {
    this.#view.setBigUint64(this.machine.translate(address, true), value, true);
  }

  #readWords(address: bigint, count: number): bigint[] {
    const at = this.#placeOf(address, count, false);
    return Array.from({ length: count }, (_, index) =>
      at < 0 ? this.read(behind(address, index)) : this.#view.getBigUint64(at + 8 * index, true),
    );
  }

  #writeWords(address: bigint, words: readonly bigint[]): void {
    const at = this.#placeOf(address, words.length, true);
    for (const [index, word] of words.entries()) {
      if (at < 0) this.write(behind(address, index), word);
      else this.#view.setBigUint64(at + 8 * index, word, true);
    }
  }

  /** Machine address of words one after another, or -1 when they lie in two pages. @throws GuestFault */
  #placeOf(address: bigint, count: number, write: boolean): number {
    const at = this.machine.translate(address, write);
    return (at & (PAGE_BYTES - 1)) + 8 * count > PAGE_BYTES ? -1 : at;
  }
}

const behind = (address: bigint, words: number): bigint => BigInt.asUintN(64, address + BigInt(8 * words));

const CALLBACK_EVENT = 0;
const CALLBACK_SYSTEM_CALL = 2;
const USER_CS = 0x33;
const USER_SS = 0x2b;
