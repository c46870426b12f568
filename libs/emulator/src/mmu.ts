import type { CpuState } from './cpu-state.js';
import { REGION, TLB, tlbAddress } from './state-layout.js';

const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;
const GLOBAL = 0x100;

/** Bits of a page fault's error code (SDM vol. 3A §4.7). */
const ERROR_PRESENT = 1;
const ERROR_WRITE = 2;
const ERROR_USER = 4;
const ERROR_RESERVED = 8;
const ERROR_FETCH = 16;

const CR0_WP = 0x10000;
const CR4_PGE = 0x80;
const EFER_NXE = 0x800;

/** Physical addresses have 36 bits (cpuid 0x80000008): bits 51..36 of an entry are reserved. */
const RESERVED_HIGH = 0x000ffff0;
const NX_HIGH = 0x80000000;
const LARGE_RESERVED_LOW = 0x001fe000;

const PAGE_MASK = 0xfffff000;
const INVALID = 0xffffffff;
const GIANT_SHIFT = 21;

/** What an access is, for the checks of a walk. */
export interface AccessKind {
  readonly write: boolean;
  readonly user: boolean;
  readonly fetch: boolean;
}

export const KERNEL_READ: AccessKind = { write: false, user: false, fetch: false };
export const KERNEL_WRITE: AccessKind = { write: true, user: false, fetch: false };
export const USER_READ: AccessKind = { write: false, user: true, fetch: false };
export const USER_WRITE: AccessKind = { write: true, user: true, fetch: false };
export const KERNEL_FETCH: AccessKind = { write: false, user: false, fetch: true };
export const USER_FETCH: AccessKind = { write: false, user: true, fetch: true };

export const accessKind = (user: boolean, write: boolean): AccessKind =>
  user ? (write ? USER_WRITE : USER_READ) : write ? KERNEL_WRITE : KERNEL_READ;

/** The guest has used a physical address where nothing is. */
export class NoSuchMemory extends Error {
  constructor(readonly phys: number) {
    super(`guest-physical address 0x${phys.toString(16)} lies beyond the guest's memory`);
  }
}

/** Bits 63..47 of an address are equal (SDM vol. 1 §3.3.7.1). */
export const isCanonical = (high: number): boolean => {
  const top = (high | 0) >> 15;
  return top === 0 || top === -1;
};

/**
 * Address translation: walks the guest's page tables (4 levels, SDM vol. 3A §4.5), keeps the software TLBs.
 * A failed walk is a value: `walk` returns -1 and leaves the error code in `errorCode`.
 */
export class Mmu {
  readonly #cpu: CpuState;
  readonly #u32: Uint32Array;
  readonly #ramWords: number;
  readonly #ramBytes: number;
  /** 1 = stores to the page must be noticed. */
  readonly protectedPages: Uint8Array;
  /** Index of TLB entries that are not global, kernel's first; `#logged` of them. */
  readonly #log = new Uint16Array(4 * TLB.entries);
  #logged = 0;
  /** 2 MiB regions of which an entry came from a large page. */
  readonly #largeRegions = new Set<number>();

  errorCode = 0;
  /** Of the last successful walk. */
  writable = false;
  dirty = false;
  global = false;
  large = false;

  constructor(cpu: CpuState, memory: WebAssembly.Memory, ramBytes: number) {
    this.#cpu = cpu;
    this.#u32 = new Uint32Array(memory.buffer);
    this.#ramWords = REGION.ram >>> 2;
    this.#ramBytes = ramBytes;
    this.protectedPages = new Uint8Array(Math.ceil(ramBytes / 4096));
    this.flushAll();
  }

  #entryIndex(table: number, index: number): number {
    const phys = table + index * 8;
    if (phys + 8 > this.#ramBytes) throw new NoSuchMemory(phys);
    return this.#ramWords + (phys >>> 2);
  }

  #fail(kind: AccessKind, code: number): number {
    const nxe = (this.#cpu.u32('efer') & EFER_NXE) !== 0;
    this.errorCode =
      code | (kind.write ? ERROR_WRITE : 0) | (kind.user ? ERROR_USER : 0) | (kind.fetch && nxe ? ERROR_FETCH : 0);
    return -1;
  }

  /**
   * Guest-physical address of a canonical virtual address given in halves, or -1 with `errorCode` set. With `mark` the accessed
   * and dirty bits are set as the processor does. @throws NoSuchMemory
   */
  walk(low: number, high: number, kind: AccessKind, mark: boolean): number {
    const cpu = this.#cpu;
    const u32 = this.#u32;
    const nxe = (cpu.u32('efer') & EFER_NXE) !== 0;
    const reservedHigh = nxe ? RESERVED_HIGH : RESERVED_HIGH | NX_HIGH;
    let rights = WRITABLE | USER;
    let noExecute = 0;
    let table = cpu.u32('cr3') & PAGE_MASK;
    const indexes = WALK_INDEXES;
    indexes[0] = (high >>> 7) & 0x1ff;
    indexes[1] = ((high & 0x7f) << 2) | (low >>> 30);
    indexes[2] = (low >>> 21) & 0x1ff;
    indexes[3] = (low >>> 12) & 0x1ff;
    for (let level = 0; level < 4; level += 1) {
      const at = this.#entryIndex(table, indexes[level] ?? 0);
      ENTRIES[level] = at;
      const entryLow = u32[at] ?? 0;
      const entryHigh = u32[at + 1] ?? 0;
      if ((entryLow & PRESENT) === 0) return this.#fail(kind, 0);
      if ((entryHigh & reservedHigh) !== 0) return this.#fail(kind, ERROR_PRESENT | ERROR_RESERVED);
      rights &= entryLow;
      noExecute |= entryHigh & NX_HIGH;
      const large = level < 3 && (entryLow & LARGE) !== 0;
      if (large && (level !== 2 || (entryLow & LARGE_RESERVED_LOW) !== 0)) {
        return this.#fail(kind, ERROR_PRESENT | ERROR_RESERVED);
      }
      if ((entryHigh & 0xf) !== 0) throw new NoSuchMemory((entryHigh & 0xf) * 2 ** 32 + (entryLow & PAGE_MASK));
      if (level === 3 || large) return this.#leaf(level, rights, noExecute, low, kind, mark);
      table = entryLow & PAGE_MASK;
    }
    throw new RangeError('a walk has four levels');
  }

  #leaf(level: number, rights: number, noExecute: number, low: number, kind: AccessKind, mark: boolean): number {
    const writeProtected = (this.#cpu.u32('cr0') & CR0_WP) !== 0;
    const mayWrite = (rights & WRITABLE) !== 0 || !(kind.user || writeProtected);
    const forbidden =
      (kind.user && (rights & USER) === 0) || (kind.write && !mayWrite) || (kind.fetch && noExecute !== 0);
    if (forbidden) return this.#fail(kind, ERROR_PRESENT);
    const u32 = this.#u32;
    if (mark) for (let above = 0; above < level; above += 1) this.#set(ENTRIES[above] ?? 0, ACCESSED);
    const at = ENTRIES[level] ?? 0;
    if (mark) this.#set(at, kind.write ? ACCESSED | DIRTY : ACCESSED);
    const entry = u32[at] ?? 0;
    this.writable = mayWrite;
    this.dirty = (entry & DIRTY) !== 0;
    this.global = (entry & GLOBAL) !== 0 && (this.#cpu.u32('cr4') & CR4_PGE) !== 0;
    this.large = level === 2;
    const phys =
      level === 2 ? ((entry & 0xffe00000) | (low & 0x1fffff)) >>> 0 : ((entry & PAGE_MASK) | (low & 0xfff)) >>> 0;
    if (phys >= this.#ramBytes) throw new NoSuchMemory(phys);
    return phys;
  }

  #set(at: number, bits: number): void {
    const entry = this.#u32[at] ?? 0;
    if ((entry & bits) !== bits) this.#u32[at] = entry | bits;
  }

  /** Enters the page of the last successful walk into a mode's TLB. Returns whether stores may use the entry. */
  fill(user: boolean, low: number, high: number, phys: number): boolean {
    const index = (low >>> 12) & (TLB.entries - 1);
    const at = (tlbAddress(user) + index * TLB.entryBytes) >>> 2;
    const u32 = this.#u32;
    const page = low & PAGE_MASK;
    const stores = this.writable && this.dirty && this.protectedPages[phys >>> 12] === 0;
    u32[at] = page;
    u32[at + 1] = high;
    u32[at + 2] = stores ? page : INVALID;
    u32[at + 3] = stores ? high : INVALID;
    u32[at + 4] = REGION.ram + (phys & PAGE_MASK) - page;
    if (this.large) this.#largeRegions.add(regionOf(low, high));
    if (!this.global) {
      if (this.#logged === this.#log.length) this.flushAll();
      else this.#log[this.#logged++] = user ? index + TLB.entries : index;
    }
    return stores;
  }

  #clear(user: boolean, index: number): void {
    const at = (tlbAddress(user) + index * TLB.entryBytes) >>> 2;
    this.#u32.fill(INVALID, at, at + 4);
  }

  /** Forgets translations that are not global: what a CR3 load does. */
  flushNonGlobal(): void {
    for (let position = 0; position < this.#logged; position += 1) {
      const index = this.#log[position] ?? 0;
      this.#clear(index >= TLB.entries, index & (TLB.entries - 1));
    }
    this.#logged = 0;
  }

  flushAll(): void {
    for (const user of [false, true]) {
      const at = tlbAddress(user) >>> 2;
      this.#u32.fill(INVALID, at, at + (TLB.entries * TLB.entryBytes) / 4);
    }
    this.#logged = 0;
    this.#largeRegions.clear();
  }

  /** Forgets one page: what invlpg does. */
  flushPage(low: number, high: number): void {
    if (this.#largeRegions.has(regionOf(low, high))) {
      this.flushAll();
      return;
    }
    const index = (low >>> 12) & (TLB.entries - 1);
    this.#clear(false, index);
    this.#clear(true, index);
  }

  /** Stores to a page must be noticed from now on. */
  protect(physPage: number): void {
    if (this.protectedPages[physPage] === 1) return;
    this.protectedPages[physPage] = 1;
    for (const user of [false, true]) {
      const first = tlbAddress(user) >>> 2;
      for (let index = 0; index < TLB.entries; index += 1) {
        const at = first + (index * TLB.entryBytes) / 4;
        const page = ((this.#u32[at + 4] ?? 0) + (this.#u32[at] ?? 0) - REGION.ram) >>> 12;
        if (page === physPage) this.#u32.fill(INVALID, at + 2, at + 4);
      }
    }
  }

  unprotect(physPage: number): void {
    this.protectedPages[physPage] = 0;
  }
}

const WALK_INDEXES = new Uint32Array(4);
const ENTRIES = new Uint32Array(4);

const regionOf = (low: number, high: number): number => (high | 0) * 2 ** (32 - GIANT_SHIFT) + (low >>> GIANT_SHIFT);
