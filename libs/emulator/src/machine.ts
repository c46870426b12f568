import { formatVirt, guestVirt, toHex } from '@pvtrail/primitives';
import { EVENT_KINDS, type RawBlock, type RawColumns } from '@pvtrail/trace';
import { Mnemonic } from 'iced-x86';
import { CpuState } from './cpu-state.js';
import { type CodeWindow, type DecodedBlock, decodeBlock, wrapped } from './decode.js';
import { GuestFault, GuestStopped, hasErrorCode, Vector, vectorName } from './guest-fault.js';
import { GuestMemory, halves } from './guest-memory.js';
import { HandlerEntry32 } from './handler-entry-32.js';
import { HandlerEntry64 } from './handler-entry-64.js';
import type { Hypervisor } from './hypervisor.js';
import { type Delivery, InterruptUnit } from './interrupts.js';
import { type EmulatorKernel, instantiateKernel } from './kernel.js';
import { accessKind, isCanonical, KERNEL_FETCH, Mmu, NoSuchMemory, USER_FETCH } from './mmu.js';
import { Platform } from './platform.js';
import { Recorder } from './recorder.js';
import { StringUnit } from './rep-string.js';
import { createRuntime } from './runtime-module.js';
import { SegmentUnit } from './segments.js';
import type { Site } from './sites.js';
import {
  ENCODER_BYTES,
  ExitReason,
  JUMP_CACHE,
  jumpCacheAddress,
  jumpCacheOffset,
  REGION,
  STATE,
  WASM_PAGE_BYTES,
} from './state-layout.js';
import { SystemUnit } from './system.js';
import { Translator } from './translator.js';

const PAGE_BYTES = 4096;
const MAX_INSTRUCTION_BYTES = 15;
const MAX_BLOCK_BYTES = 64 * MAX_INSTRUCTION_BYTES;
const DEFAULT_SEED = 1;
const MAX_RAM_BYTES = 2 ** 30;
/** Circles of control between two looks at the budget when nothing is recorded. */
const FUEL = 1 << 24;
const NO_BUDGET = Number.POSITIVE_INFINITY;
/** Registers that fragments hand to each other in WebAssembly parameters. */
const PASSED_REGISTERS: readonly number[] = [];

/** Called with the columns when they fill and whenever the machine stops; block ids index `machine.blocks`. */
export type RawSink = (columns: RawColumns, machine: Machine) => void;

/** What a machine is built as. */
export interface MachineShape {
  readonly ramBytes: number;
  readonly bits: 64 | 32;
  readonly record: boolean;
  /** Stop at exceptions instead of entering the guest's handlers. */
  readonly exceptionsExit?: boolean;
}

/** What can differ from one guest to the next in the same machine. */
export interface GuestSettings {
  /** Of the random port. */
  readonly seed?: number;
  /** Retired instructions (recording) or circles of control (not recording) after which the guest has failed. */
  readonly instructionBudget?: number;
  readonly sink?: RawSink;
}

export interface MachineOptions extends MachineShape, GuestSettings {
  /** assembly/ compiled (`loadEmulatorKernel`). */
  readonly kernel: WebAssembly.Module;
}

export type GuestFailureCode = 'guest/failed' | 'guest/deadlock' | 'guest/budget-exhausted';

/** Why a guest cannot go on, with its state at that moment. */
export interface GuestFailure {
  readonly code: GuestFailureCode;
  readonly message: string;
  readonly rip: bigint;
  /** rax rcx rdx rbx rsp rbp rsi rdi r8 … r15. */
  readonly registers: readonly bigint[];
  /** The last 16 blocks executed, oldest first; empty when nothing is recorded. */
  readonly lastBlocks: readonly RawBlock[];
  /** Up to 16 bytes at rip. */
  readonly bytes: Uint8Array;
}

export type MachineExit =
  | { readonly kind: 'marker'; readonly code: number }
  | { readonly kind: 'exit'; readonly status: number }
  | { readonly kind: 'exception'; readonly vector: number; readonly errorCode: number; readonly address: bigint }
  | { readonly kind: 'failed'; readonly failure: GuestFailure };

export interface MachineCounters {
  /** Retired instructions: exact at every stop while recording, else circles of control passed. */
  readonly instructions: number;
  /** Retired user-mode instructions, exact at every stop. */
  readonly userInstructions: number;
  readonly drains: number;
  /** Modules of generated code made. */
  readonly translations: number;
}

/** Where the trace encoder may work in `memory`. */
export const ENCODER_AREA = { offset: REGION.encoder, bytes: ENCODER_BYTES } as const;

/**
 * A guest's machine: runs x86 code as WebAssembly until something needs the world outside. The life of an instruction: found
 * (`#nextSlot`), decoded and lifted (translator), run (`enter`), and whatever made it leave is handled (`#handle`).
 */
export class Machine {
  readonly memory: WebAssembly.Memory;
  /** Guest-physical memory. */
  readonly ram: Uint8Array;
  readonly cpu: CpuState;
  readonly #u32: Uint32Array;
  readonly shape: MachineShape;
  readonly #mmu: Mmu;
  readonly #guestMemory: GuestMemory;
  readonly #translator: Translator;
  readonly #kernel: EmulatorKernel;
  readonly #recorder: Recorder;
  readonly #interrupts: InterruptUnit;
  readonly #system: SystemUnit;
  readonly #strings: StringUnit;
  readonly #platform: Platform;
  #hypervisor: Hypervisor | undefined;
  #budget = NO_BUDGET;
  #sink: RawSink | undefined;
  #circles = 0;
  /** The fault that a helper raised while generated code ran. */
  #raised = new GuestFault(Vector.generalProtection);
  /** The last exception that an instruction raised and that was no page fault: what a guest that fails has died of. */
  #lastFault: { readonly vector: number; readonly rip: bigint; readonly bytes: Uint8Array } | undefined;
  /** A host error inside a helper, thrown again once generated code has left. */
  #helperError: unknown;
  /** Blocks that began with an instruction which ran alone, by guest-physical address. */
  readonly #ones = new Map<number, RawBlock>();
  readonly #pendingStores: { from: number; to: number; length: number }[] = [];

  constructor(options: MachineOptions) {
    if (options.ramBytes % PAGE_BYTES !== 0 || options.ramBytes <= 0 || options.ramBytes > MAX_RAM_BYTES) {
      throw new RangeError(`ramBytes must be whole pages, at most ${MAX_RAM_BYTES}: ${options.ramBytes}`);
    }
    const { ramBytes, bits, record, exceptionsExit = false } = options;
    this.shape = { ramBytes, bits, record, exceptionsExit };
    const memoryPages = Math.ceil((REGION.ram + options.ramBytes) / WASM_PAGE_BYTES);
    this.memory = new WebAssembly.Memory({ initial: memoryPages, maximum: memoryPages });
    this.ram = new Uint8Array(this.memory.buffer, REGION.ram, options.ramBytes);
    this.#u32 = new Uint32Array(this.memory.buffer);
    this.cpu = new CpuState(this.memory, () => this.#pagingChanged());
    const runtime = createRuntime(this.memory, memoryPages, PASSED_REGISTERS, options.record, {
      careful: (low, high, site) => this.#guarded(site, () => this.#carefulAccess(low, high, this.#site(site))),
    });
    this.#kernel = instantiateKernel(options.kernel, this.memory, runtime, {
      miss: (low, high, site) => this.#guarded(site, () => this.#miss(low, high >>> 0, site)),
    });
    this.#kernel.setRecording(options.record ? 1 : 0);
    this.#kernel.setBits(bits);
    this.#mmu = new Mmu(this.#kernel, this.memory, options.ramBytes);
    this.#translator = new Translator({
      memory: this.memory,
      memoryPages,
      bits,
      record: options.record,
      passedRegisters: PASSED_REGISTERS,
      table: runtime.table,
      helpers: {
        ...runtime.helpers,
        miss: this.#kernel.miss,
        loadSegment: this.#kernel.loadSegment,
        commit: () => this.#commitStores(),
        divide: (high: bigint, low: bigint, divisor: bigint, signed: number) =>
          this.#divide(high, low, divisor, signed),
        repString: (site: number) => this.#repString(site),
      },
      fetch: (address, user) => this.#fetchQuietly(address, user),
      physicalOf: (address, user) => this.#physicalOf(address, user),
      protect: (page) => this.#mmu.protect(page),
      unprotect: (page) => this.#mmu.unprotect(page),
    });
    this.#recorder = new Recorder(options.record, this.cpu, this.memory, {
      count: (from, to) => this.#kernel.countInstructions(from, to),
      deliver: (columns) => this.#sink?.(columns, this),
    });
    const onProtectedStore = (phys: number, length: number): void => this.#storedToCode(phys, length);
    this.#guestMemory = new GuestMemory(this.memory, this.#mmu, onProtectedStore);
    const segments = new SegmentUnit(this.cpu, this.#guestMemory, bits);
    const entry =
      bits === 64
        ? new HandlerEntry64(this.cpu, this.#guestMemory, this.#recorder)
        : new HandlerEntry32(this.cpu, this.#guestMemory, this.#recorder, segments);
    this.#interrupts = new InterruptUnit(this.cpu, entry);
    this.#platform = new Platform(this.cpu, this.#kernel);
    this.#system = new SystemUnit(
      this.cpu,
      this.#guestMemory,
      this.#recorder,
      this.#platform,
      (low, high) => this.#kernel.invalidatePageHalves(low, high),
      segments,
      bits,
    );
    this.#strings = new StringUnit(this.cpu, this.#mmu, this.#recorder, this.memory, onProtectedStore, bits);
    this.#begin(options);
  }

  /**
   * Makes the machine new for another guest: memory and CPU are as at first. Code translated for earlier guests is used again where
   * this one has the same text; nothing else depends on what ran before.
   */
  reset(settings: GuestSettings): void {
    this.#translator.invalidateAll();
    this.ram.fill(0);
    this.#begin(settings);
  }

  #begin({ seed = DEFAULT_SEED, instructionBudget = NO_BUDGET, sink }: GuestSettings): void {
    this.#budget = instructionBudget;
    this.#hypervisor = undefined;
    this.#lastFault = undefined;
    this.#sink = sink;
    this.#circles = 0;
    this.cpu.reset();
    this.cpu.setU32('exceptionsExit', this.shape.exceptionsExit === true ? 1 : 0);
    this.cpu.setU32('fuel', FUEL);
    this.#kernel.flushAll();
    this.#kernel.resetSpaces();
    this.#recorder.begin();
    this.#platform.begin(seed);
    this.#clearJumpCaches();
  }

  /** From here on the guest's kernel has no privileges; until the machine is reset. */
  attach(hypervisor: Hypervisor): void {
    this.#hypervisor = hypervisor;
  }

  /** Loads the root of the page tables, as a write of CR3 does. */
  loadPageTables(root: bigint): void {
    this.#kernel.loadPageTables(root);
  }

  /**
   * Loads the root that the other mode runs on, for a hypervisor that gives each mode its own: translations stay, because those of
   * kernel mode always come from the one root and those of user mode from the other. `loadPageTables` must follow a change of either.
   */
  switchPageTables(root: bigint): void {
    this.#kernel.switchPageTables(root);
  }

  /** Forgets the translation of a page in which no code is. */
  flushPage(address: bigint): void {
    const [low, high] = halves(address);
    this.#kernel.flushPageHalves(low, high);
  }

  /** Forgets the translation of one page, as invlpg does. */
  invalidatePage(address: bigint): void {
    const [low, high] = halves(address);
    this.#kernel.invalidatePageHalves(low, high);
  }

  /** Records that control went to the hypervisor (ADR 002). */
  recordTrap(kind: number): void {
    this.#recorder.event(EVENT_KINDS.trap, kind);
  }

  /** Guest-physical address behind a virtual one, as kernel mode may read or write it. @throws GuestFault */
  translate(address: bigint, write: boolean): number {
    const [low, high] = halves(address);
    return this.#guestMemory.translate(low, high, accessKind(false, write));
  }

  /** Runs exactly the instruction at rip, for a hypervisor that lets it through. */
  runOne(): void {
    const raw = this.#blockForOne();
    this.#recorder.block(raw);
    this.#runPart(raw, 0, 1);
  }

  /** Every block met so far, by this and by earlier guests; a block's index is its id in the raw columns. */
  get blocks(): readonly RawBlock[] {
    return this.#translator.blocks;
  }

  /** What the guest wrote to its console. */
  get console(): string {
    return this.#platform.console;
  }

  get counters(): MachineCounters {
    const circles = this.#circles + FUEL - this.cpu.u32('fuel');
    return {
      instructions: this.shape.record ? this.#recorder.instructions : circles,
      userInstructions: this.#platform.userInstructions,
      drains: this.#recorder.drains,
      translations: this.#translator.translations,
    };
  }

  /** Runs the guest until a marker, its end, or, with `exceptionsExit`, an exception. The sink has everything then. */
  run(): MachineExit {
    let exit: MachineExit | undefined;
    while (exit === undefined) exit = this.#step();
    this.#recorder.drain();
    const isOver = exit.kind !== 'failed' && this.counters.instructions > this.#budget;
    return isOver ? this.#stopped(this.#overBudget()) : exit;
  }

  #overBudget(): GuestStopped {
    return new GuestStopped('guest/budget-exhausted', `the guest used up its budget of ${this.#budget} instructions`);
  }

  #stopped({ code, message }: GuestStopped): MachineExit {
    return { kind: 'failed', failure: this.failure(code, message) };
  }

  /** Writes guest text at a point where the guest is stopped; translated code that it touches is forgotten. */
  writeText(phys: number, bytes: Uint8Array): void {
    this.ram.set(bytes, phys);
    this.#translator.invalidate(phys, bytes.length);
  }

  /** Records that text was edited here (ADR 002). */
  recordPatch(sequence: number): void {
    this.#recorder.event(EVENT_KINDS.patch, sequence);
  }

  /** Forgets all address translations, after the page tables were changed from outside. */
  flushTlb(): void {
    this.#pagingChanged();
  }

  /** An external interrupt waits until the guest can take it. */
  requestInterrupt(vector: number): void {
    this.#platform.request(vector);
  }

  /** Describes the guest as it is now, as a failure; the message says which exception was its last. */
  failure(code: GuestFailureCode, message: string): GuestFailure {
    const blocks = this.blocks;
    return {
      code,
      message: code === 'guest/failed' ? `${message}${this.#lastFaultText()}` : message,
      rip: this.cpu.rip,
      registers: Array.from({ length: 16 }, (_, register) => this.cpu.gpr(register)),
      lastBlocks: this.shape.record ? this.#recorder.lastBlocks.flatMap((id) => blocks[id] ?? []) : [],
      bytes: this.#bytesAtRip(),
    };
  }

  #lastFaultText(): string {
    if (this.#lastFault === undefined) return '';
    const { vector, rip, bytes } = this.#lastFault;
    const what = vector === Vector.undefinedOpcode ? '#UD, an unknown instruction,' : vectorName(vector);
    const code = bytes.length === 0 ? 'where no code is mapped' : `at the bytes ${toHex(bytes)}`;
    return `; its last exception was ${what} at ${formatVirt(guestVirt(rip))}, ${code}`;
  }

  #bytesAtRip(): Uint8Array {
    const high = this.cpu.high('rip');
    if (!isCanonical(high)) return new Uint8Array(0);
    try {
      const phys = this.#mmu.walk(this.cpu.u32('rip'), high, KERNEL_FETCH, false);
      return phys < 0 ? new Uint8Array(0) : this.ram.slice(phys, phys + 16);
    } catch (error) {
      if (error instanceof NoSuchMemory) return new Uint8Array(0);
      throw error;
    }
  }

  // ---- the run loop ----

  /** From one entry into generated code to its next exit; a value ends the run. */
  #step(): MachineExit | undefined {
    try {
      const slot = this.#nextSlot();
      this.#kernel.run(slot);
      if (this.#helperError !== undefined) this.#throwHelperError();
      return this.#handle();
    } catch (problem) {
      return this.#problem(problem);
    }
  }

  #throwHelperError(): never {
    const error = this.#helperError;
    this.#helperError = undefined;
    throw error;
  }

  /** A fault outside of any block, or the guest's end. */
  #problem(problem: unknown): MachineExit | undefined {
    if (problem instanceof GuestFault) return this.#raiseOutside(problem);
    if (problem instanceof GuestStopped) return this.#stopped(problem);
    if (problem instanceof NoSuchMemory)
      return { kind: 'failed', failure: this.failure('guest/failed', problem.message) };
    throw problem;
  }

  /** The guest may end while its handler is entered: a triple fault. */
  #raiseOutside(fault: GuestFault): MachineExit | undefined {
    try {
      return this.#raise(fault);
    } catch (problem) {
      return this.#problem(problem);
    }
  }

  #handle(): MachineExit | undefined {
    const { cpu } = this;
    switch (cpu.u32('exitReason')) {
      case ExitReason.lookup:
        return isCanonical(cpu.high('rip')) ? undefined : this.#takeBack(this.#exitSite());
      case ExitReason.drain:
        return this.#drained();
      case ExitReason.system:
        return this.#runSystem(this.#exitSite());
      case ExitReason.fault:
        return this.#faultAt(this.#exitSite(), new GuestFault(cpu.u32('exitVector')));
      case ExitReason.raised:
        return this.#faultAt(this.#exitSite(), this.#raised);
      case ExitReason.careful:
        return this.#runCareful(this.#exitSite());
      case ExitReason.interruptible:
        return this.#takeInterrupt();
      case ExitReason.stepped:
        return this.#stepped(this.#exitSite());
      case ExitReason.interrupt:
        return this.#interruptAfter(this.#exitSite());
      default:
        throw new Error(`generated code left for an unknown reason ${cpu.u32('exitReason')}`);
    }
  }

  #site(index: number): Site {
    const site = this.#translator.sites.get(index);
    if (site === undefined) throw new Error(`no site ${index}`);
    return site;
  }

  #exitSite(): Site {
    return this.#site(this.cpu.u32('exitSite'));
  }

  #drained(): MachineExit | undefined {
    const { cpu } = this;
    if (this.shape.record) this.#recorder.drain();
    else {
      this.#circles += FUEL;
      cpu.setU32('fuel', FUEL);
    }
    if (this.counters.instructions < this.#budget) return undefined;
    throw this.#overBudget();
  }

  // ---- finding code ----

  /** The table slot for the code at rip. @throws GuestFault when it cannot be fetched */
  #nextSlot(): number {
    if (this.#kernel.kernelChanged.value !== 0) this.#forgetKernelCode();
    const { cpu } = this;
    const low = cpu.u32('rip');
    const high = cpu.high('rip');
    const user = cpu.cpl === 3;
    const space = user ? cpu.u32('space') : 0;
    const entry = (jumpCacheAddress(user) + jumpCacheOffset(low, space)) >>> 2;
    const u32 = this.#u32;
    const cached = u32[entry] === low && u32[entry + 1] === high && (!user || u32[entry + 3] === space);
    if (cached && this.#translator.hasCode(u32[entry + 2] ?? 0)) return u32[entry + 2] ?? 0;
    const slot = this.#slotAtRip(low, high, user);
    u32[entry] = low;
    u32[entry + 1] = high;
    u32[entry + 2] = slot;
    u32[entry + 3] = space;
    return slot;
  }

  #slotAtRip(low: number, high: number, user: boolean): number {
    const phys = this.#translateFetch(low, high, user);
    return (
      this.#translator.translatedSlot(this.cpu.ripNumber, phys, user) ??
      this.#translator.slotFor(this.#blockAtRip(low, high, user, phys), user)
    );
  }

  #translateFetch(low: number, high: number, user: boolean): number {
    if (!isCanonical(high)) throw new GuestFault(Vector.generalProtection);
    const phys = this.#mmu.walk(low, high, user ? USER_FETCH : KERNEL_FETCH, true);
    if (phys < 0) throw new GuestFault(Vector.pageFault, this.#mmu.errorCode, low, high);
    this.#kernel.noteFetch(low, high, phys, user ? 1 : 0);
    return phys;
  }

  #blockAtRip(low: number, high: number, user: boolean, phys: number): DecodedBlock {
    const address = this.cpu.ripNumber;
    const block = decodeBlock(this.#window(address, phys, user), address, this.shape.bits);
    if (block === undefined) return this.#faultOnNextPage(low, high, user);
    if (block.physNextPage !== 0) this.#noteNextPage(address, user);
    return block;
  }

  #noteNextPage(address: number, user: boolean): void {
    const next = wrapped(nextPageOf(address), this.shape.bits);
    const phys = this.#mmu.walk(next >>> 0, Math.floor(next / 2 ** 32) >>> 0, user ? USER_FETCH : KERNEL_FETCH, true);
    if (phys >= 0) this.#kernel.noteFetch(next >>> 0, Math.floor(next / 2 ** 32) >>> 0, phys, user ? 1 : 0);
  }

  #faultOnNextPage(low: number, high: number, user: boolean): never {
    const nextLow = ((low & ~(PAGE_BYTES - 1)) + PAGE_BYTES) >>> 0;
    const nextHigh = this.#highAfter(nextLow, high);
    this.#mmu.walk(nextLow, nextHigh, user ? USER_FETCH : KERNEL_FETCH, true);
    throw new GuestFault(Vector.pageFault, this.#mmu.errorCode, nextLow, nextHigh);
  }

  /** The upper half of the address behind a page: addresses of 32-bit code wrap. */
  #highAfter(nextLow: number, high: number): number {
    return nextLow === 0 && this.shape.bits === 64 ? (high + 1) >>> 0 : high;
  }

  /** The block at an address if its page is mapped; touches nothing. */
  #fetchQuietly(address: number, user: boolean): DecodedBlock | undefined {
    const phys = this.#physicalOf(address, user);
    return phys < 0 ? undefined : decodeBlock(this.#window(address, phys, user), address, this.shape.bits);
  }

  #physicalOf(address: number, user: boolean): number {
    const high = Math.floor(address / 2 ** 32) >>> 0;
    if (!isCanonical(high)) return -1;
    const phys = this.#mmu.walk(address >>> 0, high, user ? USER_FETCH : KERNEL_FETCH, false);
    if (phys >= 0 && !user) this.#kernel.noteFetch(address >>> 0, high, phys, 0);
    return phys;
  }

  /** The bytes of the longest block that can begin at an address. */
  #window(address: number, phys: number, user: boolean): CodeWindow {
    const bytesInFirstPage = PAGE_BYTES - (phys & (PAGE_BYTES - 1));
    if (bytesInFirstPage >= MAX_BLOCK_BYTES) {
      const bytes = this.ram.subarray(phys, phys + MAX_BLOCK_BYTES);
      return { bytes, phys, nextPagePhys: 0, bytesInFirstPage };
    }
    const next = wrapped(nextPageOf(address), this.shape.bits);
    const high = Math.floor(next / 2 ** 32) >>> 0;
    const kind = user ? USER_FETCH : KERNEL_FETCH;
    const nextPhys = isCanonical(high) ? this.#mmu.walk(next >>> 0, high, kind, false) : -1;
    if (nextPhys < 0) {
      return { bytes: this.ram.subarray(phys, phys + bytesInFirstPage), phys, nextPagePhys: 0, bytesInFirstPage };
    }
    const bytes = new Uint8Array(bytesInFirstPage + MAX_INSTRUCTION_BYTES);
    bytes.set(this.ram.subarray(phys, phys + bytesInFirstPage));
    bytes.set(this.ram.subarray(nextPhys, nextPhys + MAX_INSTRUCTION_BYTES), bytesInFirstPage);
    return { bytes, phys, nextPagePhys: nextPhys, bytesInFirstPage };
  }

  // ---- faults and interrupts ----

  /** A fault of an instruction inside a block: what retired before it stays recorded. */
  #faultAt(site: Site, fault: GuestFault): MachineExit | undefined {
    const { index, slotsBefore } = site.instruction;
    this.#recorder.dropSplits(slotsBefore);
    this.#recorder.retire(site.block, index, slotsBefore);
    this.#spendFuel(site, index);
    return this.#raise(fault);
  }

  /** A return, jump or call to an address that is none faults itself and so has not retired; a call has written its return address. */
  #takeBack(site: Site): MachineExit | undefined {
    const { cpu } = this;
    const { block, instruction } = site;
    if (block.user !== (cpu.cpl === 3)) throw new GuestFault(Vector.generalProtection);
    if (this.#recorder.enabled) cpu.setU32('addressPointer', cpu.u32('addressPointer') - 4 * block.slots);
    this.#spendFuel(site, -block.instructions);
    cpu.setGpr(RSP, BigInt.asUintN(64, cpu.gpr(RSP) - stackReleased(instruction)));
    this.#setRipTo(site);
    return this.#faultAt(site, new GuestFault(Vector.generalProtection));
  }

  #spendFuel(site: Site, instructions: number): void {
    if (site.user) this.cpu.setU32('userFuel', this.cpu.u32('userFuel') - instructions);
  }

  #raise(fault: GuestFault): MachineExit | undefined {
    const { vector, errorCode, low, high } = fault;
    const { cpu } = this;
    if (this.shape.exceptionsExit === true) {
      const address = (BigInt(high) << 32n) | BigInt(low);
      return { kind: 'exception', vector, errorCode: hasErrorCode(vector) ? errorCode : 0, address };
    }
    if (vector === Vector.pageFault) cpu.setHalves('cr2', low, high);
    else this.#lastFault = { vector, rip: cpu.rip, bytes: this.#bytesAtRip().subarray(0, MAX_INSTRUCTION_BYTES) };
    return this.#deliver({ vector, errorCode, cause: 'fault' });
  }

  #deliver(delivery: Delivery): MachineExit | undefined {
    if (this.shape.exceptionsExit === true && delivery.cause === 'software') {
      return { kind: 'exception', vector: delivery.vector, errorCode: 0, address: 0n };
    }
    if (this.#hypervisor === undefined) this.#interrupts.deliver(delivery);
    else this.#bounce(this.#hypervisor, delivery);
    if (this.#recorder.extrasLow) this.#recorder.drain();
    return undefined;
  }

  #bounce(hypervisor: Hypervisor, { vector, errorCode, cause }: Delivery): void {
    if (cause === 'interrupt') hypervisor.interrupt(vector);
    else hypervisor.exception(vector, errorCode, this.cpu.cr2);
  }

  #takeInterrupt(): MachineExit | undefined {
    const vector = this.#platform.takeInterrupt();
    return vector === undefined ? undefined : this.#deliver({ vector, errorCode: 0, cause: 'interrupt' });
  }

  /** popf or sti let a waiting interrupt in; after sti one more instruction comes first. */
  #interruptAfter(site: Site): MachineExit | undefined {
    this.#recorder.retire(site.block, site.block.instructions, site.block.slots);
    this.#spendFuel(site, site.block.instructions);
    if ((this.cpu.u32('systemFlags') & 0x100) !== 0) {
      throw new GuestStopped('guest/failed', 'the guest single-steps (TF), which this machine lacks');
    }
    return isSti(site) ? this.#shadow() : this.#takeInterrupt();
  }

  /** Runs exactly one instruction, then takes a waiting interrupt. */
  #shadow(): MachineExit | undefined {
    const raw = this.#blockForOne();
    this.#recorder.block(raw);
    const exit = this.#runPart(raw, 0, 1);
    return exit ?? this.#takeInterrupt();
  }

  #blockForOne(): RawBlock {
    const { cpu } = this;
    const user = cpu.cpl === 3;
    const low = cpu.u32('rip');
    const high = cpu.high('rip');
    const phys = this.#translateFetch(low, high, user);
    const known = this.#ones.get(phys);
    if (known?.virt === cpu.rip && known.user === user && this.#isAt(known, phys)) return known;
    const raw = this.#translator.rawBlock(this.#blockAtRip(low, high, user, phys), user);
    // near its page's end a block depends on the next page too
    if ((phys & (PAGE_BYTES - 1)) + raw.bytes.length + MAX_INSTRUCTION_BYTES <= PAGE_BYTES) this.#ones.set(phys, raw);
    return raw;
  }

  #isAt({ bytes }: RawBlock, phys: number): boolean {
    return bytes.every((byte, index) => this.ram[phys + index] === byte);
  }

  // ---- careful functions ----

  /** Does the rest of a block with each access checked by itself. */
  #runCareful(site: Site): MachineExit | undefined {
    const { index } = site.instruction;
    return this.#runPart(site.block, index, site.block.instructions - index);
  }

  #runPart(raw: RawBlock, first: number, count: number): MachineExit | undefined {
    this.cpu.setU32('leaveAfter', 0);
    this.#kernel.run(this.#translator.carefulSlot(raw, first, count));
    if (this.#helperError !== undefined) this.#throwHelperError();
    return this.#handle();
  }

  /** A careful function stopped after an instruction. */
  #stepped(site: Site): MachineExit | undefined {
    this.cpu.setU32('leaveAfter', 0);
    const { block, instruction } = site;
    const done = instruction.index + 1;
    const following = this.#translator.decoded(block)?.instructions[done];
    this.#recorder.retire(block, done, following?.slotsBefore ?? block.slots);
    this.#spendFuel(site, done);
    return undefined;
  }

  // ---- helpers called by generated code ----

  /** Runs a helper that generated code called; faults and errors become a reason to leave. Returns 0 then. */
  #guarded(index: number, action: () => number): number {
    try {
      return action();
    } catch (problem) {
      this.#leaveRaised(index, problem);
      return 0;
    }
  }

  #leaveRaised(index: number, problem: unknown): void {
    const { cpu } = this;
    cpu.setU32('exitSite', index);
    cpu.setU32('exitReason', ExitReason.raised);
    this.#setRipTo(this.#site(index));
    if (problem instanceof GuestFault) this.#raised = problem;
    else this.#helperError = problem;
  }

  /** Completes the state for leaving at a site: what generated code leaves to the site's description. */
  #setRipTo(site: Site): void {
    const { address } = site.instruction;
    this.cpu.setHalves('rip', address >>> 0, Math.floor(address / 2 ** 32) >>> 0);
    if (site.flagKind >= 0) this.cpu.setU32('flagKind', site.flagKind);
  }

  /** An access that the kernel's `miss` leaves: it crosses pages, stores to a watched or clean page, or faults unusually. */
  #miss(low: number, high: number, index: number): number {
    const mmu = this.#mmu;
    const site = this.#site(index);
    const crosses = (low & (PAGE_BYTES - 1)) + site.rangeBytes > PAGE_BYTES;
    if (crosses || !isCanonical(high)) return this.#leaveCareful(index);
    const phys = mmu.walk(low, high, accessKind(site.user, site.firstWrites), true);
    if (phys >= 0) return this.#leaveCareful(index);
    throw new GuestFault(Vector.pageFault, mmu.errorCode, (low + site.firstOffset) >>> 0, high);
  }

  #leaveCareful(index: number): number {
    const { cpu } = this;
    cpu.setU32('exitSite', index);
    cpu.setU32('exitReason', ExitReason.careful);
    this.#setRipTo(this.#site(index));
    return 0;
  }

  /** One access of a careful function: page crossings go through the scratch area, stores to code are noted. */
  #carefulAccess(low: number, high: number, site: Site): number {
    const { cpu } = this;
    const bytes = site.rangeBytes;
    const phys = this.#carefulTranslate(low, high >>> 0, site);
    cpu.setU32('accessPhys', phys);
    const first = PAGE_BYTES - (low & (PAGE_BYTES - 1));
    if (bytes <= first) {
      if (site.rangeWrites && this.#mmu.isProtected(phys >>> 12)) this.#noteStore(phys, phys, bytes);
      return REGION.ram + phys;
    }
    const nextLow = (low + first) >>> 0;
    const nextPhys = this.#carefulTranslate(nextLow, this.#highAfter(nextLow, high >>> 0), site);
    const scratch = STATE.scratch0;
    const all = new Uint8Array(this.memory.buffer);
    all.copyWithin(scratch, REGION.ram + phys, REGION.ram + phys + first);
    all.copyWithin(scratch + first, REGION.ram + nextPhys, REGION.ram + nextPhys + bytes - first);
    this.#recorder.split(site.slot, nextPhys);
    if (site.rangeWrites) {
      this.#noteStore(scratch - REGION.ram, phys, first);
      this.#noteStore(scratch + first - REGION.ram, nextPhys, bytes - first);
    }
    return scratch;
  }

  #carefulTranslate(low: number, high: number, site: Site): number {
    if (!isCanonical(high)) {
      throw new GuestFault(usesStackSegment(site) ? Vector.stackFault : Vector.generalProtection);
    }
    const phys = this.#mmu.walk(low, high, accessKind(site.user, site.rangeWrites), true);
    if (phys < 0) throw new GuestFault(Vector.pageFault, this.#mmu.errorCode, low >>> 0, high);
    return phys;
  }

  /** A store to be completed by `commit`; equal `from` and `to` mean that the bytes will be in place already. */
  #noteStore(from: number, to: number, length: number): void {
    this.#pendingStores.push({ from, to, length });
    this.cpu.setU32('storePending', 1);
  }

  #commitStores(): void {
    this.cpu.setU32('storePending', 0);
    const all = new Uint8Array(this.memory.buffer);
    for (const { from, to, length } of this.#pendingStores.splice(0)) {
      if (from !== to) all.copyWithin(REGION.ram + to, REGION.ram + from, REGION.ram + from + length);
      if (this.#mmu.isProtected(to >>> 12)) this.#storedToCode(to, length);
    }
  }

  #storedToCode(phys: number, length: number): void {
    if (this.#translator.invalidate(phys, length)) this.cpu.setU32('leaveAfter', 1);
  }

  /** 128 by 64 bits: quotient and remainder go to the scratch area; 1 = the quotient does not fit. */
  #divide(high: bigint, low: bigint, divisor: bigint, signed: number): number {
    const by = signed === 1 ? BigInt.asIntN(64, divisor) : BigInt.asUintN(64, divisor);
    const whole = (BigInt.asUintN(64, high) << 64n) | BigInt.asUintN(64, low);
    const dividend = signed === 1 ? BigInt.asIntN(128, whole) : whole;
    const quotient = dividend / by;
    const fits = signed === 1 ? BigInt.asIntN(64, quotient) === quotient : BigInt.asUintN(64, quotient) === quotient;
    this.cpu.setU64('scratch0', BigInt.asUintN(64, quotient));
    this.cpu.setU64('scratch1', BigInt.asUintN(64, dividend % by));
    return fits ? 0 : 1;
  }

  /** 1 = leave: the instruction faulted, or wrote over translated code. */
  #repString(index: number): number {
    this.cpu.setU32('leaveAfter', 0);
    const site = this.#site(index);
    try {
      this.#strings.run(site);
      if (!this.#recorder.extrasLow && this.cpu.u32('leaveAfter') === 0) return 0;
      this.#leaveBehindRep(site);
    } catch (problem) {
      this.#leaveRaised(index, problem);
    }
    return 1;
  }

  /** The instruction has retired; generated code goes on through the run loop. */
  #leaveBehindRep(site: Site): void {
    const { next } = site.instruction;
    this.cpu.setU32('leaveAfter', 0);
    this.cpu.setHalves('rip', next >>> 0, Math.floor(next / 2 ** 32) >>> 0);
    this.#spendFuel(site, 1);
    this.cpu.setU32('exitReason', ExitReason.drain);
  }

  // ---- system instructions ----

  #runSystem(site: Site): MachineExit | undefined {
    const { cpu } = this;
    const { block, instruction } = site;
    const blockAddresses = cpu.u32('addressPointer');
    const before = blockAddresses + 4 * instruction.slotsBefore;
    if (this.#recorder.enabled) cpu.setU32('addressPointer', before);
    let result: ReturnType<SystemUnit['run']>;
    try {
      result = (site.user ? undefined : this.#trapped(instruction)) ?? this.#system.run(instruction);
    } catch (problem) {
      if (this.#recorder.enabled) cpu.setU32('addressPointer', blockAddresses);
      if (problem instanceof GuestFault) return this.#faultAt(site, problem);
      throw problem;
    }
    if (instruction.index < block.instructions - 1) {
      if (this.#recorder.enabled) cpu.setU32('addressPointer', blockAddresses);
      return this.#runPart(block, instruction.index + 1, block.instructions - instruction.index - 1);
    }
    this.#spendFuel(site, block.instructions);
    const { next } = instruction;
    if (result.kind !== 'jumped' && result.kind !== 'waiting')
      cpu.setHalves('rip', next >>> 0, Math.floor(next / 2 ** 32) >>> 0);
    return this.#afterSystem(result);
  }

  /** What a hypervisor made of a kernel's instruction; undefined when the machine is to execute it. */
  #trapped({ mnemonic, next }: Site['instruction']): ReturnType<SystemUnit['run']> | undefined {
    const outcome =
      this.#hypervisor?.instruction({ kind: trapKind(mnemonic), next: BigInt.asUintN(64, BigInt(next)) }) ?? 'pass';
    if (outcome === 'pass') return undefined;
    return { kind: outcome === 'halt' ? 'waiting' : 'jumped' };
  }

  #afterSystem(result: ReturnType<SystemUnit['run']>): MachineExit | undefined {
    switch (result.kind) {
      case 'next':
        return undefined;
      case 'jumped':
        return this.#takeInterrupt();
      case 'interruptible':
        return this.#takeInterrupt();
      case 'shadow':
        return this.#platform.interruptWaits ? this.#shadow() : undefined;
      case 'deliver':
        return this.#deliver(result.delivery);
      case 'marker':
        this.#recorder.event(EVENT_KINDS.marker, result.code);
        return { kind: 'marker', code: result.code };
      case 'exit':
        this.#recorder.event(EVENT_KINDS.exit, result.status);
        return { kind: 'exit', status: result.status };
      case 'halt':
      case 'waiting':
        return this.#halt();
    }
  }

  /** Waits for an interrupt: takes a waiting one, or lets time pass to the timer. */
  #halt(): MachineExit | undefined {
    const taken = (): boolean => this.#platform.interruptWaits && (this.cpu.u32('systemFlags') & 0x200) !== 0;
    if (!taken()) this.#platform.skipToTimer();
    if (taken()) return this.#takeInterrupt();
    throw new GuestStopped('guest/deadlock', 'the guest halted and nothing can wake it');
  }

  // ---- paging ----

  #pagingChanged(): void {
    this.#kernel.pagingChanged();
  }

  /** Kernel code is mapped otherwise than its translation supposes. */
  #forgetKernelCode(): void {
    this.#kernel.acknowledgeKernelChange();
    this.#translator.invalidateAll();
    this.#clearJumpCaches();
  }

  #clearJumpCaches(): void {
    const words = (JUMP_CACHE.entries * JUMP_CACHE.entryBytes) >>> 2;
    for (const user of [false, true]) {
      const first = jumpCacheAddress(user) >>> 2;
      for (let index = 0; index < words; index += 4) this.#u32.fill(0xffffffff, first + index, first + index + 2);
    }
  }
}

const nextPageOf = (address: number): number => (Math.floor(address / PAGE_BYTES) + 1) * PAGE_BYTES;

const PRIVILEGED: ReadonlySet<Mnemonic> = new Set([
  Mnemonic.Rdmsr,
  Mnemonic.Wrmsr,
  Mnemonic.Wbinvd,
  Mnemonic.Clts,
  Mnemonic.Cli,
  Mnemonic.Sti,
  Mnemonic.Hlt,
]);

const trapKind = (mnemonic: Mnemonic): 'system-call' | 'privileged' | 'other' => {
  if (mnemonic === Mnemonic.Syscall) return 'system-call';
  return PRIVILEGED.has(mnemonic) ? 'privileged' : 'other';
};

const STI_MNEMONIC_BYTES = 0xfb;

const isSti = (site: Site): boolean => site.block.bytes.at(-1) === STI_MNEMONIC_BYTES;

const RSP = 4;
const RBP = 5;

/** Bytes by which a near transfer has raised the stack pointer. */
const stackReleased = ({ mnemonic, operands }: Site['instruction']): bigint => {
  if (mnemonic === Mnemonic.Call) return -8n;
  if (mnemonic !== Mnemonic.Ret) return 0n;
  const [released] = operands;
  return 8n + (released?.kind === 'immediate' ? BigInt.asUintN(16, released.value) : 0n);
};

/** A non-canonical address in the stack segment raises #SS (SDM vol. 3A §6.15). */
const usesStackSegment = (site: Site): boolean => {
  const memory = site.instruction.memory;
  return memory === undefined || memory.base === RSP || memory.base === RBP;
};
