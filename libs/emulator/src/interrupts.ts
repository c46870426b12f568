import type { CpuState } from './cpu-state.js';
import { GuestFault, GuestStopped, Vector } from './guest-fault.js';

/** What makes the CPU enter a handler. */
export interface Delivery {
  readonly vector: number;
  readonly errorCode: number;
  /** An external interrupt, a fault of the instruction at rip, or an int instruction (rip is behind it). */
  readonly cause: 'interrupt' | 'fault' | 'software';
  /** Length of the int instruction: when it faults itself, it has not retired. */
  readonly lengthBytes?: number;
}

const CONTRIBUTORY = new Set<number>([0, 10, 11, 12, 13]);

/** SDM vol. 3A table 6-5: whether a second fault during delivery of the first is a double fault. */
const doublesUp = (first: number, second: number): boolean =>
  (CONTRIBUTORY.has(first) && CONTRIBUTORY.has(second)) ||
  (first === Vector.pageFault && (CONTRIBUTORY.has(second) || second === Vector.pageFault));

/** Enters the handler of one event, or faults with nothing of the guest changed but what lies below its stack. */
export interface HandlerEntry {
  enter(delivery: Delivery): void;
}

/** Enters handlers, and those of faults on the way there (SDM vol. 3A §6.15, double fault). */
export class InterruptUnit {
  readonly #cpu: CpuState;
  readonly #entry: HandlerEntry;

  constructor(cpu: CpuState, entry: HandlerEntry) {
    this.#cpu = cpu;
    this.#entry = entry;
  }

  /** @throws GuestStopped when the guest ends in a triple fault */
  deliver(delivery: Delivery): void {
    let current = delivery;
    for (;;) {
      try {
        this.#entry.enter(current);
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
}
