import type { CpuState } from './cpu-state.js';
import type { Insn } from './decode.js';
import { NT, RF, returnedFlags, TF, VM } from './flags.js';
import { GuestFault, lacks, Vector } from './guest-fault.js';
import type { GuestMemory } from './guest-memory.js';
import { accessKind } from './mmu.js';
import type { Recorder } from './recorder.js';
import {
  isCode,
  isCodeOf,
  isConforming,
  isNull,
  isPresent,
  privilegeOf,
  readDescriptor,
  type SegmentUnit,
} from './segments.js';

const RCX = 1;
const RDX = 2;
const RSP = 4;
const WORD = 4;

/** Where a return goes: selectors, and the stack that it takes in an outer ring. */
interface Return {
  readonly eip: number;
  readonly selector: number;
  readonly descriptor: bigint;
  /** Offset of the stack pointer behind what the instruction itself pops. */
  readonly popped: number;
}

/** Far transfers of 32-bit mode: jumps, returns, iret, sysexit (SDM vol. 2; vol. 3A §5.8). Each method throws before it changes anything. */
export class Transfers32 {
  readonly #cpu: CpuState;
  readonly #memory: GuestMemory;
  readonly #recorder: Recorder;
  readonly #segments: SegmentUnit;

  constructor(cpu: CpuState, memory: GuestMemory, recorder: Recorder, segments: SegmentUnit) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.#recorder = recorder;
    this.#segments = segments;
  }

  /** jmp ptr16:32 to code of the same ring. */
  farJump({ operands: [to] }: Insn): void {
    if (to?.kind !== 'far') throw lacks('jumps far through memory');
    const cpu = this.#cpu;
    const descriptor = readDescriptor(cpu, this.#memory, to.selector);
    if (!isCode(descriptor)) throw new GuestFault(Vector.generalProtection, to.selector & ~3);
    const privilege = privilegeOf(descriptor);
    const allowed = isConforming(descriptor)
      ? privilege <= cpu.cpl
      : (to.selector & 3) <= cpu.cpl && privilege === cpu.cpl;
    if (!allowed) throw new GuestFault(Vector.generalProtection, to.selector & ~3);
    if (!isPresent(descriptor)) throw new GuestFault(Vector.segmentNotPresent, to.selector & ~3);
    this.#segments.requireFlatCode(descriptor);
    this.#segments.loadCode(to.selector, descriptor, cpu.cpl);
    cpu.rip = BigInt(to.offset);
  }

  refuseFarPointer(): never {
    throw lacks('calls far or loads a far pointer');
  }

  /** lret, to the same ring or an outer one. */
  farReturn({ operands: [released], stackIncrement }: Insn): void {
    const extra = released?.kind === 'immediate' ? Number(BigInt.asUintN(16, released.value)) : 0;
    if (stackIncrement - extra !== 2 * WORD) throw new GuestFault(Vector.undefinedOpcode);
    const [eip = 0, cs = 0] = this.#words(0, 2);
    const selector = cs & 0xffff;
    this.#return({ eip, selector, descriptor: this.#returnCode(selector), popped: 2 * WORD + extra }, 2, extra);
  }

  /** iret: three words, each a reference slot; two more, which are none, to an outer ring. */
  interruptReturn(): void {
    const cpu = this.#cpu;
    if ((cpu.u32('systemFlags') & NT) !== 0) throw lacks('returns to another task');
    const [eip = 0, cs = 0, flags = 0] = this.#words(0, 3);
    const selector = cs & 0xffff;
    if (cpu.cpl === 0 && (flags & VM) !== 0) throw lacks('enters virtual-8086 mode');
    if ((flags & TF) !== 0) throw lacks('single-steps (TF)');
    const descriptor = this.#returnCode(selector);
    const changed = returnedFlags(cpu.cpl, cpu.u32('systemFlags'));
    this.#return({ eip, selector, descriptor, popped: 3 * WORD }, 3, 0);
    cpu.flags = ((cpu.flags & ~changed) | (flags & changed)) & ~RF;
  }

  #return({ eip, selector, descriptor, popped }: Return, slots: number, releasedOutside: number): void {
    const cpu = this.#cpu;
    const privilege = selector & 3;
    const esp = cpu.gprLow(RSP);
    if (privilege === cpu.cpl) {
      this.#record(slots);
      this.#segments.loadCode(selector, descriptor, privilege);
      cpu.setGprHalves(RSP, (esp + popped) >>> 0, 0);
    } else {
      const [outerEsp = 0, ss = 0] = this.#words(popped, 2);
      this.#segments.stackDescriptor(ss & 0xffff, privilege, Vector.generalProtection);
      this.#segments.leaveRing(privilege);
      this.#record(slots);
      this.#segments.loadCode(selector, descriptor, privilege);
      this.#segments.loadStack(ss & 0xffff, privilege, Vector.generalProtection);
      cpu.setGprHalves(RSP, (outerEsp + releasedOutside) >>> 0, 0);
    }
    cpu.rip = BigInt(eip);
  }

  #returnCode(selector: number): bigint {
    const cpu = this.#cpu;
    if (isNull(selector)) throw new GuestFault(Vector.generalProtection);
    const descriptor = readDescriptor(cpu, this.#memory, selector);
    const privilege = selector & 3;
    if (privilege < cpu.cpl || !isCodeOf(descriptor, privilege)) {
      throw new GuestFault(Vector.generalProtection, selector & ~3);
    }
    if (!isPresent(descriptor)) throw new GuestFault(Vector.segmentNotPresent, selector & ~3);
    this.#segments.requireFlatCode(descriptor);
    return descriptor;
  }

  /** The cases of sysexit that generated code leaves: a waiting interrupt, or a fault. */
  systemExit(): void {
    const cpu = this.#cpu;
    const selector = cpu.u32('sysenterCs') & 0xfffc;
    if (cpu.cpl !== 0 || selector === 0) throw new GuestFault(Vector.generalProtection);
    cpu.setSelector('cs', (selector + 16) | 3);
    cpu.setSelector('ss', (selector + 24) | 3);
    cpu.cpl = 3;
    cpu.rip = BigInt(cpu.gprLow(RDX));
    cpu.setGprHalves(RSP, cpu.gprLow(RCX), 0);
  }

  // ---- the stack ----

  #at(offset: number): bigint {
    return BigInt((this.#cpu.gprLow(RSP) + offset) >>> 0);
  }

  #words(offset: number, count: number): number[] {
    const kind = accessKind(this.#cpu.cpl === 3, false);
    return Array.from({ length: count }, (_, index) =>
      Number(this.#memory.read(this.#at(offset + WORD * index), WORD, kind)),
    );
  }

  #record(slots: number): void {
    if (!this.#recorder.enabled) return;
    const kind = accessKind(this.#cpu.cpl === 3, false);
    for (let slot = 0; slot < slots; slot += 1) {
      this.#recorder.address(this.#memory.translate(Number(this.#at(WORD * slot)), 0, kind));
    }
  }
}
