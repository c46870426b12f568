import { EVENT_KINDS } from '@pvtrail/trace';
import type { CpuState } from './cpu-state.js';
import { IF, NT, RF, TF } from './flags.js';
import { GuestFault, hasErrorCode, Vector } from './guest-fault.js';
import { type GuestMemory, halves } from './guest-memory.js';
import type { Delivery, HandlerEntry } from './interrupts.js';
import { KERNEL_READ, KERNEL_WRITE } from './mmu.js';
import type { Recorder } from './recorder.js';
import { isCode, isConforming, isLong, isPresent, privilegeOf, readDescriptor } from './segments.js';

const RSP = 4;
const GATE_INTERRUPT = 0xe;
const GATE_TRAP = 0xf;
const TSS_RSP0 = 4n;
const TSS_IST1 = 36n;
const MASK64 = (1n << 64n) - 1n;

/** Enters handlers through the guest's IDT in 64-bit mode (SDM vol. 3A §6.14). */
export class HandlerEntry64 implements HandlerEntry {
  readonly #cpu: CpuState;
  readonly #memory: GuestMemory;
  readonly #recorder: Recorder;

  constructor(cpu: CpuState, memory: GuestMemory, recorder: Recorder) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.#recorder = recorder;
  }

  enter(delivery: Delivery): void {
    const cpu = this.#cpu;
    const { vector, cause } = delivery;
    const { low, high, selector } = this.#gate(vector, cause);
    const newCpl = this.#codePrivilege(selector);
    const oldCpl = cpu.cpl;
    const ist = Number((low >> 32n) & 7n);
    let stack = cpu.gpr(RSP);
    if (ist !== 0) stack = this.#fromTss(TSS_IST1 + BigInt(8 * (ist - 1)));
    else if (newCpl < oldCpl) stack = this.#fromTss(TSS_RSP0 + BigInt(8 * newCpl));
    const top = BigInt.asUintN(64, stack & ~0xfn);
    const rsp = this.#pushFrame(top, delivery);
    const type = Number((low >> 40n) & 0xfn);
    const flags = cpu.flags & ~(TF | NT | RF);
    cpu.flags = type === GATE_INTERRUPT ? flags & ~IF : flags;
    cpu.setGpr(RSP, rsp);
    if (newCpl < oldCpl) cpu.setSelector('ss', newCpl);
    cpu.setSelector('cs', (selector & ~3) | newCpl);
    cpu.cpl = newCpl;
    cpu.rip = (low & 0xffffn) | ((low >> 32n) & 0xffff0000n) | ((high & 0xffffffffn) << 32n);
  }

  #gate(vector: number, cause: Delivery['cause']): { low: bigint; high: bigint; selector: number } {
    const cpu = this.#cpu;
    const { base, limit } = cpu.idtr;
    const external = cause === 'software' ? 0 : 1;
    const errorCode = vector * 8 + 2 + external;
    if (vector * 16 + 15 > limit) throw new GuestFault(Vector.generalProtection, errorCode);
    const at = BigInt.asUintN(64, base + BigInt(vector * 16));
    const low = this.#memory.read(at, 8, KERNEL_READ);
    const type = Number((low >> 40n) & 0x1fn);
    if (type !== GATE_INTERRUPT && type !== GATE_TRAP) throw new GuestFault(Vector.generalProtection, errorCode);
    const dpl = Number((low >> 45n) & 3n);
    if (cause === 'software' && dpl < cpu.cpl) throw new GuestFault(Vector.generalProtection, errorCode);
    if (!isPresent(low)) throw new GuestFault(Vector.segmentNotPresent, errorCode);
    const high = this.#memory.read(BigInt.asUintN(64, at + 8n), 8, KERNEL_READ);
    return { low, high, selector: Number((low >> 16n) & 0xffffn) };
  }

  /** The privilege level at which code of a selector runs. */
  #codePrivilege(selector: number): number {
    const descriptor = readDescriptor(this.#cpu, this.#memory, selector);
    if (!isCode(descriptor) || !isLong(descriptor)) throw new GuestFault(Vector.generalProtection, selector & ~3);
    if (!isPresent(descriptor)) throw new GuestFault(Vector.segmentNotPresent, selector & ~3);
    const privilege = privilegeOf(descriptor);
    if (privilege > this.#cpu.cpl) throw new GuestFault(Vector.generalProtection, selector & ~3);
    return isConforming(descriptor) ? this.#cpu.cpl : privilege;
  }

  #fromTss(offset: bigint): bigint {
    const { base } = this.#cpu.tr;
    return this.#memory.read(BigInt.asUintN(64, base + offset), 8, KERNEL_READ);
  }

  /** Pushes SS, RSP, RFLAGS, CS, RIP and the error code; returns the new stack pointer. */
  #pushFrame(top: bigint, { vector, errorCode, cause }: Delivery): bigint {
    const cpu = this.#cpu;
    // A fault's frame has RF set, so that a debugger can resume the instruction (SDM vol. 3B §17.3.1.1).
    const flags = cause === 'fault' ? cpu.flags | RF : cpu.flags;
    const words = [BigInt(cpu.selector('ss')), cpu.gpr(RSP), BigInt(flags >>> 0), BigInt(cpu.selector('cs')), cpu.rip];
    if (cause === 'fault' && hasErrorCode(vector)) words.push(BigInt(errorCode));
    let rsp = top;
    for (const word of words) {
      rsp = (rsp - 8n) & MASK64;
      this.#memory.write(rsp, 8, word, KERNEL_WRITE);
    }
    const [low, high] = halves((top - 8n) & MASK64);
    this.#recorder.event(cause === 'interrupt' ? EVENT_KINDS.interrupt : EVENT_KINDS.exception, vector);
    this.#recorder.extra(this.#memory.translate(low, high, KERNEL_READ) + 8);
    return rsp;
  }
}
