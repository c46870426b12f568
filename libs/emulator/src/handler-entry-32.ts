import { EVENT_KINDS } from '@pvtrail/trace';
import type { CpuState } from './cpu-state.js';
import { IF, NT, RF, TF, VM } from './flags.js';
import { GuestFault, hasErrorCode, lacks, Vector } from './guest-fault.js';
import type { GuestMemory } from './guest-memory.js';
import type { Delivery, HandlerEntry } from './interrupts.js';
import { KERNEL_READ, KERNEL_WRITE } from './mmu.js';
import type { Recorder } from './recorder.js';
import { isCode, isConforming, isNull, isPresent, privilegeOf, readDescriptor, type SegmentUnit } from './segments.js';

const RSP = 4;
const WORD = 4;
const GATE_TASK = 5;
const GATE_INTERRUPT = 0xe;
const GATE_TRAP = 0xf;
const TSS_ESP0 = 4;
const TSS_STACK_BYTES = 8;

interface Gate {
  readonly offset: number;
  readonly selector: number;
  readonly clearsInterrupts: boolean;
}

/** The stack that a handler gets: the interrupted one, or that of its ring from the task state. */
interface HandlerStack {
  readonly esp: number;
  /** Of an inner ring. */
  readonly ss: number | undefined;
}

/** Enters handlers through the guest's IDT in 32-bit mode (SDM vol. 3A §6.12). Task gates and 16-bit gates are refused. */
export class HandlerEntry32 implements HandlerEntry {
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

  enter(delivery: Delivery): void {
    const cpu = this.#cpu;
    const gate = this.#gate(delivery);
    const external = delivery.cause === 'software' ? 0 : 1;
    const descriptor = this.#code(gate.selector, external);
    const privilege = isConforming(descriptor) ? cpu.cpl : privilegeOf(descriptor);
    const stack = this.#stack(privilege);
    const esp = this.#pushFrame(stack, delivery);
    const flags = cpu.flags & ~(TF | NT | RF | VM);
    cpu.flags = gate.clearsInterrupts ? flags & ~IF : flags;
    this.#segments.loadCode(gate.selector, descriptor, privilege);
    if (stack.ss !== undefined) this.#segments.loadStack(stack.ss, privilege, Vector.invalidTss);
    cpu.setGprHalves(RSP, esp, 0);
    cpu.rip = BigInt(gate.offset);
  }

  #gate({ vector, cause }: Delivery): Gate {
    const cpu = this.#cpu;
    const { base, limit } = cpu.idtr;
    const errorCode = vector * 8 + 2 + (cause === 'software' ? 0 : 1);
    if (vector * 8 + 7 > limit) throw new GuestFault(Vector.generalProtection, errorCode);
    const gate = this.#memory.read(BigInt.asUintN(32, base + BigInt(vector * 8)), 8, KERNEL_READ);
    const type = Number((gate >> 40n) & 0x1fn);
    if (type !== GATE_INTERRUPT && type !== GATE_TRAP) {
      if (type === GATE_TASK || type === 6 || type === 7) {
        throw lacks(`enters a task gate or a 16-bit gate (vector ${vector})`);
      }
      throw new GuestFault(Vector.generalProtection, errorCode);
    }
    if (cause === 'software' && privilegeOf(gate) < cpu.cpl) throw new GuestFault(Vector.generalProtection, errorCode);
    if (!isPresent(gate)) throw new GuestFault(Vector.segmentNotPresent, errorCode);
    return {
      offset: Number((gate & 0xffffn) | ((gate >> 32n) & 0xffff0000n)),
      selector: Number((gate >> 16n) & 0xffffn),
      clearsInterrupts: type === GATE_INTERRUPT,
    };
  }

  #code(selector: number, external: number): bigint {
    if (isNull(selector)) throw new GuestFault(Vector.generalProtection, external);
    const errorCode = (selector & ~3) | external;
    const descriptor = readDescriptor(this.#cpu, this.#memory, selector);
    if (!isCode(descriptor) || privilegeOf(descriptor) > this.#cpu.cpl) {
      throw new GuestFault(Vector.generalProtection, errorCode);
    }
    if (!isPresent(descriptor)) throw new GuestFault(Vector.segmentNotPresent, errorCode);
    this.#segments.requireFlatCode(descriptor);
    return descriptor;
  }

  #stack(privilege: number): HandlerStack {
    const cpu = this.#cpu;
    if (privilege === cpu.cpl) return { esp: cpu.gprLow(RSP), ss: undefined };
    const { base, limit } = cpu.tr;
    const at = TSS_ESP0 + TSS_STACK_BYTES * privilege;
    if (at + TSS_STACK_BYTES - 1 > limit) throw new GuestFault(Vector.invalidTss, cpu.selector('tr') & ~3);
    const esp = Number(this.#memory.read(BigInt.asUintN(32, base + BigInt(at)), WORD, KERNEL_READ));
    const ss = Number(this.#memory.read(BigInt.asUintN(32, base + BigInt(at + WORD)), 2, KERNEL_READ));
    this.#segments.stackDescriptor(ss, privilege, Vector.invalidTss);
    return { esp, ss };
  }

  /** Pushes SS and ESP for an inner ring, EFLAGS, CS, EIP and the error code; returns the new stack pointer. */
  #pushFrame({ esp, ss }: HandlerStack, { vector, errorCode, cause }: Delivery): number {
    const cpu = this.#cpu;
    // A fault's frame has RF set, so that a debugger can resume the instruction (SDM vol. 3B §17.3.1.1).
    const flags = cause === 'fault' ? cpu.flags | RF : cpu.flags;
    const words = ss === undefined ? [] : [cpu.selector('ss'), cpu.gprLow(RSP)];
    words.push(flags >>> 0, cpu.selector('cs'), cpu.u32('rip'));
    if (cause === 'fault' && hasErrorCode(vector)) words.push(errorCode);
    let at = esp;
    for (const word of words) {
      at = (at - WORD) >>> 0;
      this.#memory.write(BigInt(at), WORD, BigInt(word), KERNEL_WRITE);
    }
    this.#recorder.event(cause === 'interrupt' ? EVENT_KINDS.interrupt : EVENT_KINDS.exception, vector);
    this.#recorder.extra(this.#memory.translate((esp - WORD) >>> 0, 0, KERNEL_READ) + WORD);
    return at;
  }
}
