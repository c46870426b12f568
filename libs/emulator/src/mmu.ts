import type { EmulatorKernel } from './kernel.js';
import { REGION } from './state-layout.js';

/** What an access is, for the checks of a walk: bits as in assembly/paging.ts. */
export type AccessKind = number;

const WRITE = 1;
const USER = 2;
const FETCH = 4;

export const KERNEL_READ: AccessKind = 0;
export const KERNEL_WRITE: AccessKind = WRITE;
export const KERNEL_FETCH: AccessKind = FETCH;
export const USER_FETCH: AccessKind = USER | FETCH;

export const accessKind = (user: boolean, write: boolean): AccessKind => (user ? USER : 0) | (write ? WRITE : 0);

/** The guest has used a physical address where nothing is. */
export class NoSuchMemory extends Error {
  constructor(phys: bigint) {
    super(`guest-physical address 0x${phys.toString(16)} lies beyond the guest's memory`);
  }
}

/** Bits 63..47 of an address are equal (SDM vol. 1 §3.3.7.1). */
export const isCanonical = (high: number): boolean => {
  const top = (high | 0) >> 15;
  return top === 0 || top === -1;
};

const NO_MEMORY = -2;

/** Address translation for JavaScript: assembly/paging.ts does it. */
export class Mmu {
  readonly #kernel: EmulatorKernel;
  readonly #protectedPages: Uint8Array;

  constructor(kernel: EmulatorKernel, memory: WebAssembly.Memory, ramBytes: number) {
    this.#kernel = kernel;
    this.#protectedPages = new Uint8Array(memory.buffer, REGION.protectedPages, Math.ceil(ramBytes / 4096));
    kernel.setRamBytes(ramBytes);
  }

  /** Of the last failed walk: the error code of its page fault (SDM vol. 3A §4.7). */
  get errorCode(): number {
    return this.#kernel.errorCode.value;
  }

  /**
   * Guest-physical address of a canonical virtual address given in halves, or -1 with `errorCode` set. With `mark` the accessed
   * and dirty bits are set as the processor does. @throws NoSuchMemory
   */
  walk(low: number, high: number, kind: AccessKind, mark: boolean): number {
    const phys = this.#kernel.walkHalves(low, high, kind, mark ? 1 : 0);
    if (phys === NO_MEMORY) throw new NoSuchMemory(BigInt.asUintN(64, this.#kernel.beyond.value));
    return phys;
  }

  /** Whether stores to a guest-physical page must be noticed. */
  isProtected(physPage: number): boolean {
    return this.#protectedPages[physPage] === 1;
  }

  protect(physPage: number): void {
    this.#kernel.protect(physPage);
  }

  unprotect(physPage: number): void {
    this.#kernel.unprotect(physPage);
  }
}
