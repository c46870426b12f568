import type { CpuState } from './cpu-state.js';
import { IF, NT, RF, TF } from './flags.js';
import { GuestFault, GuestStopped, hasErrorCode, Vector } from './guest-fault.js';
import { type GuestMemory, halves } from './guest-memory.js';
import { KERNEL_READ, KERNEL_WRITE } from './mmu.js';
import { EventKind, type Recorder } from './recorder.js';

/** What makes the CPU enter a handler. */
export interface Delivery {
  readonly vector: number;
  readonly errorCode: number;
  /** An external interrupt, a fault of the instruction at rip, or an int instruction (rip is behind it). */
  readonly cause: 'interrupt' | 'fault' | 'software';
  /** Length of the int instruction: when it faults itself, it has not retired. */
  readonly lengthBytes?: number;
}

const RSP = 4;
const PRESENT = 1n << 47n;
const GATE_INTERRUPT = 0xe;
const GATE_TRAP = 0xf;
const TSS_RSP0 = 4n;
const TSS_IST1 = 36n;
const MASK64 = (1n << 64n) - 1n;

const CONTRIBUTORY = new Set<number>([0, 10, 11, 12, 13]);

/** SDM vol. 3A table 6-5: whether a second fault during delivery of the first is a double fault. */
const doublesUp = (first: number, second: number): boolean =>
  (CONTRIBUTORY.has(first) && CONTRIBUTORY.has(second)) ||
  (first === Vector.pageFault && (CONTRIBUTORY.has(second) || second === Vector.pageFault));

/** Enters handlers through the guest's IDT in 64-bit mode (SDM vol. 3A §6.14). */
export class InterruptUnit {
  readonly #cpu: CpuState;
  readonly #memory: GuestMemory;
  readonly #recorder: Recorder;

  constructor(cpu: CpuState, memory: GuestMemory, recorder: Recorder) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.#recorder = recorder;
  }

  /** @throws GuestStopped when the guest ends in a triple fault */
  deliver(delivery: Delivery): void {
    let current = delivery;
    for (;;) {
      try {
        this.#enter(current);
        return;
      } catch (fault) {
        if (!(fault instanceof GuestFault)) throw fault;
        current = this.#followUp(current, fault);
      }
    }
  }

  /** The fault that a fault during delivery leads to. */
  #followUp(first: Delivery, second: GuestFault): Delivery {
    if (first.vector === Vector.doubleFault) {
      throw new GuestStopped(
        'guest/failed',
        `triple fault: vector ${second.vector} while entering the double fault handler`,
      );
    }
    if (first.lengthBytes !== undefined) this.#cpu.rip = BigInt.asUintN(64, this.#cpu.rip - BigInt(first.lengthBytes));
    if (second.vector === Vector.pageFault) this.#cpu.setHalves('cr2', second.low, second.high);
    if (first.cause !== 'interrupt' && doublesUp(first.vector, second.vector)) {
      return { vector: Vector.doubleFault, errorCode: 0, cause: 'fault' };
    }
    return { vector: second.vector, errorCode: second.errorCode, cause: 'fault' };
  }

  #enter(delivery: Delivery): void {
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
    if ((low & PRESENT) === 0n) throw new GuestFault(Vector.segmentNotPresent, errorCode);
    const high = this.#memory.read(BigInt.asUintN(64, at + 8n), 8, KERNEL_READ);
    return { low, high, selector: Number((low >> 16n) & 0xffffn) };
  }

  /** The privilege level at which code of a selector runs. */
  #codePrivilege(selector: number): number {
    const descriptor = readDescriptor(this.#cpu, this.#memory, selector);
    const isCode = ((descriptor >> 43n) & 3n) === 3n;
    const long = ((descriptor >> 53n) & 1n) === 1n;
    if (!isCode || !long) throw new GuestFault(Vector.generalProtection, selector & ~3);
    if ((descriptor & PRESENT) === 0n) throw new GuestFault(Vector.segmentNotPresent, selector & ~3);
    const dpl = Number((descriptor >> 45n) & 3n);
    if (dpl > this.#cpu.cpl) throw new GuestFault(Vector.generalProtection, selector & ~3);
    const conforming = ((descriptor >> 42n) & 1n) === 1n;
    return conforming ? this.#cpu.cpl : dpl;
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
    this.#recorder.event(cause === 'interrupt' ? EventKind.interrupt : EventKind.exception, vector);
    this.#recorder.extra(this.#memory.translate(low, high, KERNEL_READ) + 8);
    return rsp;
  }
}

/** A descriptor of the GDT (or LDT) as a number of 64 bits. @throws GuestFault */
export const readDescriptor = (cpu: CpuState, memory: GuestMemory, selector: number): bigint => {
  const errorCode = selector & ~3;
  if (errorCode === 0) throw new GuestFault(Vector.generalProtection);
  const { base, limit } = (selector & 4) === 0 ? cpu.gdtr : cpu.ldtr;
  if ((selector | 7) > limit) throw new GuestFault(Vector.generalProtection, errorCode);
  return memory.read(BigInt.asUintN(64, base + BigInt(selector & ~7)), 8, KERNEL_READ);
};
