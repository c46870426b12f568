/** Address translation in 64-bit mode: walks the guest's page tables (SDM vol. 3A §4.5), keeps the software TLBs. */

const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const USER: u64 = 4;
const ACCESSED: u64 = 0x20;
const DIRTY: u64 = 0x40;
const LARGE: u64 = 0x80;
const GLOBAL: u64 = 0x100;
const NO_EXECUTE: u64 = 1 << 63;

// Bits of a page fault's error code (SDM vol. 3A §4.7).
const ERROR_PRESENT: u32 = 1;
const ERROR_WRITE: u32 = 2;
const ERROR_USER: u32 = 4;
const ERROR_RESERVED: u32 = 8;
const ERROR_FETCH: u32 = 16;

const CR0_WP: u64 = 0x10000;
const CR4_PGE: u64 = 0x80;
const EFER_NXE: u64 = 0x800;

/** Physical addresses have 36 bits (cpuid 0x80000008): bits 51..36 of an entry are reserved. */
const RESERVED: u64 = 0x000ffff000000000;
const LARGE_RESERVED: u64 = 0x001fe000;
const FRAME: u64 = 0x0000000ffffff000;

// What an access is: bits of `kind`.
export const KIND_WRITE: u32 = 1;
export const KIND_USER: u32 = 2;
export const KIND_FETCH: u32 = 4;

/** The walk failed; `errorCode` says how. */
export const FAULT: i32 = -1;
/** The walk led to a physical address where nothing is: `beyond`. */
export const NO_MEMORY: i32 = -2;

export let errorCode: u32 = 0;
export let beyond: u64 = 0;
export let ramBytes: u64 = 0;
// Of the last successful walk.
export let writable: bool = false;
export let dirty: bool = false;
export let global: bool = false;
export let large: bool = false;

export function setRamBytes(bytes: u32): void {
  ramBytes = bytes;
}

function fail(kind: u32, code: u32): i32 {
  const fetch = (kind & KIND_FETCH) != 0 && (load<u64>(STATE_EFER) & EFER_NXE) != 0;
  errorCode = code | ((kind & KIND_WRITE) << 1) | ((kind & KIND_USER) << 1) | (fetch ? ERROR_FETCH : 0);
  return FAULT;
}

function noMemory(phys: u64): i32 {
  beyond = phys;
  return NO_MEMORY;
}

function mark(entryAt: usize, entry: u64, bits: u64): void {
  if ((entry & bits) != bits) store<u64>(entryAt, entry | bits);
}

/**
 * Guest-physical address of a canonical virtual address, FAULT or NO_MEMORY. With `marks` the accessed and dirty bits are set as the
 * processor does.
 */
export function walk(address: u64, kind: u32, marks: bool): i32 {
  const nxe = (load<u64>(STATE_EFER) & EFER_NXE) != 0;
  const reserved = nxe ? RESERVED : RESERVED | NO_EXECUTE;
  let rights: u64 = WRITABLE | USER;
  let noExecute: u64 = 0;
  let table = load<u64>(STATE_CR3) & 0xfffff000;
  let at0: usize = 0;
  let at1: usize = 0;
  let at2: usize = 0;
  for (let level = 0; level < 4; level++) {
    const phys = table + (((address >> (39 - 9 * level)) & 0x1ff) << 3);
    if (phys + 8 > ramBytes) return noMemory(phys);
    const at: usize = REGION_RAM + <i32>phys;
    const entry = load<u64>(at);
    if ((entry & PRESENT) == 0) return fail(kind, 0);
    if ((entry & reserved) != 0) return fail(kind, ERROR_PRESENT | ERROR_RESERVED);
    rights &= entry;
    noExecute |= entry & NO_EXECUTE;
    const isLarge = level < 3 && (entry & LARGE) != 0;
    if (isLarge && (level != 2 || (entry & LARGE_RESERVED) != 0)) return fail(kind, ERROR_PRESENT | ERROR_RESERVED);
    const frame = entry & FRAME;
    if (frame >> 32 != 0) return noMemory(frame);
    if (level == 3 || isLarge) {
      const writeProtected = (load<u64>(STATE_CR0) & CR0_WP) != 0;
      const user = (kind & KIND_USER) != 0;
      const mayWrite = (rights & WRITABLE) != 0 || !(user || writeProtected);
      if (
        (user && (rights & USER) == 0) ||
        ((kind & KIND_WRITE) != 0 && !mayWrite) ||
        ((kind & KIND_FETCH) != 0 && noExecute != 0)
      ) {
        return fail(kind, ERROR_PRESENT);
      }
      if (marks) {
        mark(at0, load<u64>(at0), ACCESSED);
        mark(at1, load<u64>(at1), ACCESSED);
        if (level == 3) mark(at2, load<u64>(at2), ACCESSED);
        mark(at, load<u64>(at), (kind & KIND_WRITE) != 0 ? ACCESSED | DIRTY : ACCESSED);
      }
      const marked = load<u64>(at);
      writable = mayWrite;
      dirty = (marked & DIRTY) != 0;
      global = (marked & GLOBAL) != 0 && (load<u64>(STATE_CR4) & CR4_PGE) != 0;
      large = isLarge;
      const result = isLarge
        ? (frame & 0xffe00000) | (address & 0x1fffff)
        : frame | (address & 0xfff);
      return result >= ramBytes ? noMemory(result) : <i32>result;
    }
    if (level == 0) at0 = at;
    else if (level == 1) at1 = at;
    else at2 = at;
    table = frame;
  }
  return FAULT;
}

/** `walk` for JavaScript, which would pass a bigint for a u64. */
export function walkHalves(low: u32, high: u32, kind: u32, marks: bool): i32 {
  return walk((<u64>high << 32) | low, kind, marks);
}

export function isCanonical(address: u64): bool {
  const top = <i64>address >> 47;
  return top == 0 || top == -1;
}

// ---- the TLBs ----

const PAGE: u64 = ~(<u64>0xfff);
const INVALID: u64 = u64.MAX_VALUE;
/** Entries in the log of those that are not global. */
const LOG_ENTRIES: u32 = 4 * TLB_ENTRIES;
/** A set of 2 MiB regions, by a hash of their number, of which an entry came from a large page. */
const REGION_BITS: u64 = 32768;

let logged: u32 = 0;

function tlb(user: bool): usize {
  return user ? REGION_USER_TLB : REGION_KERNEL_TLB;
}

function largeRegionByte(address: u64): usize {
  return REGION_LARGE_REGIONS + <i32>((regionHash(address) & (REGION_BITS - 1)) >> 3);
}

function regionHash(address: u64): u64 {
  const number = address >> 21;
  return number ^ (number >> 15) ^ (number >> 30);
}

export function isProtected(phys: u32): bool {
  return load<u8>(REGION_PROTECTED_PAGES + (phys >> 12)) != 0;
}

/** Enters the page of the last successful walk into a mode's TLB. Returns whether stores may use the entry. */
export function fill(user: bool, address: u64, phys: u32): bool {
  const index = <u32>(address >> 12) & (TLB_ENTRIES - 1);
  const at = tlb(user) + index * TLB_ENTRY_BYTES;
  const page = address & PAGE;
  const stores = writable && dirty && !isProtected(phys);
  store<u64>(at, page, TLB_READ_TAG);
  store<u64>(at, stores ? page : INVALID, TLB_WRITE_TAG);
  store<u32>(at, REGION_RAM + (phys & 0xfffff000) - <u32>page, TLB_ADDEND);
  if (large) {
    const byte = largeRegionByte(address);
    store<u8>(byte, load<u8>(byte) | (1 << (<u8>regionHash(address) & 7)));
  }
  if (!global) {
    if (logged == LOG_ENTRIES) flushAll();
    else store<u16>(REGION_TLB_LOG + 2 * logged++, <u16>(user ? index + TLB_ENTRIES : index));
  }
  return stores;
}

function clear(at: usize): void {
  store<u64>(at, INVALID, TLB_READ_TAG);
  store<u64>(at, INVALID, TLB_WRITE_TAG);
}

/** Forgets translations that are not global: what a CR3 load does. */
export function flushNonGlobal(): void {
  for (let position: u32 = 0; position < logged; position++) {
    const index = <u32>load<u16>(REGION_TLB_LOG + 2 * position);
    clear(tlb(index >= <u32>TLB_ENTRIES) + (index & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES);
  }
  logged = 0;
}

export function flushAll(): void {
  for (let index: u32 = 0; index < <u32>TLB_ENTRIES; index++) {
    clear(REGION_KERNEL_TLB + index * TLB_ENTRY_BYTES);
    clear(REGION_USER_TLB + index * TLB_ENTRY_BYTES);
  }
  logged = 0;
  memory.fill(REGION_LARGE_REGIONS, 0, <usize>(REGION_BITS >> 3));
}

/** Forgets one page: what invlpg does. */
export function flushPage(address: u64): void {
  if ((load<u8>(largeRegionByte(address)) & (1 << (<u8>regionHash(address) & 7))) != 0) {
    flushAll();
    return;
  }
  const offset = (<u32>(address >> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
  clear(REGION_KERNEL_TLB + offset);
  clear(REGION_USER_TLB + offset);
}

/** Stores to a page must be noticed from now on. */
export function protect(physPage: u32): void {
  if (load<u8>(REGION_PROTECTED_PAGES + physPage) != 0) return;
  store<u8>(REGION_PROTECTED_PAGES + physPage, 1);
  for (let index: u32 = 0; index < <u32>TLB_ENTRIES; index++) {
    forbidStores(REGION_KERNEL_TLB + index * TLB_ENTRY_BYTES, physPage);
    forbidStores(REGION_USER_TLB + index * TLB_ENTRY_BYTES, physPage);
  }
}

function forbidStores(at: usize, physPage: u32): void {
  const page = (load<u32>(at, TLB_ADDEND) + load<u32>(at, TLB_READ_TAG) - REGION_RAM) >> 12;
  if (page == physPage) store<u64>(at, INVALID, TLB_WRITE_TAG);
}

export function unprotect(physPage: u32): void {
  store<u8>(REGION_PROTECTED_PAGES + physPage, 0);
}
