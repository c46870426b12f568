/** Address translation: walks the guest's page tables (SDM vol. 3A §4.3–§4.5), keeps the software TLBs. */

const PRESENT: u32 = 1;
const WRITABLE: u32 = 2;
const USER: u32 = 4;
const ACCESSED: u32 = 0x20;
const DIRTY: u32 = 0x40;
const LARGE: u32 = 0x80;
const GLOBAL: u32 = 0x100;
const NO_EXECUTE: u64 = 1 << 63;

// Bits of a page fault's error code (SDM vol. 3A §4.7).
const ERROR_PRESENT: u32 = 1;
const ERROR_WRITE: u32 = 2;
const ERROR_USER: u32 = 4;
const ERROR_RESERVED: u32 = 8;
const ERROR_FETCH: u32 = 16;

const CR0_WP: u64 = 0x10000;
const CR4_PSE: u64 = 0x10;
const CR4_PAE: u64 = 0x20;
const CR4_PGE: u64 = 0x80;
const EFER_LMA: u64 = 0x400;
const EFER_NXE: u64 = 0x800;

/** Physical addresses have 36 bits (cpuid 0x80000008): bits 51..36 of an entry are reserved, of a PAE one bits 62..36. */
const RESERVED: u64 = 0x000ffff000000000;
const RESERVED_PAE: u64 = 0x7ffffff000000000;
const RESERVED_POINTER: u64 = 0xfffffff0000001e6;
const LARGE_RESERVED: u64 = 0x001fe000;
/** Without PSE-36, bits 21..13 of an entry that maps 4 MiB. */
const HUGE_RESERVED: u32 = 0x003fe000;
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
/** The large page has 4 MiB. */
let huge: bool = false;

export function setRamBytes(bytes: u32): void {
  ramBytes = bytes;
}

function fail(kind: u32, code: u32): i32 {
  const executeDisable = (load<u64>(STATE_EFER) & EFER_NXE) != 0 && (load<u64>(STATE_CR4) & CR4_PAE) != 0;
  const fetch = (kind & KIND_FETCH) != 0 && executeDisable;
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

/** Whether the rights of all levels allow an access; sets `writable`. */
function allows(rights: u64, noExecute: bool, kind: u32): bool {
  const user = (kind & KIND_USER) != 0;
  const writeProtected = (load<u64>(STATE_CR0) & CR0_WP) != 0;
  writable = (rights & WRITABLE) != 0 || !(user || writeProtected);
  if (user && (rights & USER) == 0) return false;
  if ((kind & KIND_WRITE) != 0 && !writable) return false;
  return (kind & KIND_FETCH) == 0 || !noExecute;
}

/** What the TLB must know of the entry that maps a page, and the address if there is memory behind it. */
function mapped(entry: u64, isLarge: bool, phys: u64): i32 {
  dirty = (entry & DIRTY) != 0;
  global = (entry & GLOBAL) != 0 && (load<u64>(STATE_CR4) & CR4_PGE) != 0;
  large = isLarge;
  return phys >= ramBytes ? noMemory(phys) : <i32>phys;
}

/**
 * Guest-physical address of a canonical virtual address, FAULT or NO_MEMORY. With `marks` the accessed and dirty bits are set as the
 * processor does. Control registers choose between 4-level, PAE and 2-level tables (SDM vol. 3A §4.1.1).
 */
export function walk(address: u64, kind: u32, marks: bool): i32 {
  if ((load<u64>(STATE_CR4) & CR4_PAE) == 0) return walkTwoLevels(<u32>address, kind, marks);
  const long = (load<u64>(STATE_EFER) & EFER_LMA) != 0;
  const nxe = (load<u64>(STATE_EFER) & EFER_NXE) != 0;
  const reserved = (long ? RESERVED : RESERVED_PAE) | (nxe ? 0 : NO_EXECUTE);
  let rights: u64 = WRITABLE | USER;
  let noExecute: u64 = 0;
  let table = load<u64>(STATE_CR3) & 0xfffff000;
  let at0: usize = 0;
  let at1: usize = 0;
  let at2: usize = 0;
  if (!long) {
    const pointerAt = directoryPointer(address);
    if (pointerAt + 8 > ramBytes) return noMemory(pointerAt);
    const pointer = load<u64>(REGION_RAM + <i32>pointerAt);
    if ((pointer & PRESENT) == 0) return fail(kind, 0);
    table = pointer & FRAME;
    if (table >> 32 != 0) return noMemory(table);
  }
  for (let level = long ? 0 : 2; level < 4; level++) {
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
      if (!allows(rights, noExecute != 0, kind)) return fail(kind, ERROR_PRESENT);
      if (marks) {
        if (long) {
          mark(at0, load<u64>(at0), ACCESSED);
          mark(at1, load<u64>(at1), ACCESSED);
        }
        if (level == 3) mark(at2, load<u64>(at2), ACCESSED);
        mark(at, load<u64>(at), (kind & KIND_WRITE) != 0 ? ACCESSED | DIRTY : ACCESSED);
      }
      huge = false;
      return mapped(load<u64>(at), isLarge, isLarge ? (frame & 0xffe00000) | (address & 0x1fffff) : frame | (address & 0xfff));
    }
    if (level == 0) at0 = at;
    else if (level == 1) at1 = at;
    else at2 = at;
    table = frame;
  }
  return FAULT;
}

/** Guest-physical address of the PAE directory pointer for an address (SDM vol. 3A §4.4.1). */
function directoryPointer(address: u64): u64 {
  return (load<u64>(STATE_CR3) & 0xffffffe0) + (((address >> 30) & 3) << 3);
}

/** Whether a value may be loaded into CR3: of PAE, no directory pointer that is present has a reserved bit (SDM vol. 3A §4.4.1). */
export function isRoot(value: u64): bool {
  if ((load<u64>(STATE_CR4) & CR4_PAE) == 0 || (load<u64>(STATE_EFER) & EFER_LMA) != 0) return true;
  const first = value & 0xffffffe0;
  if (first + 32 > ramBytes) return true;
  for (let index: u64 = 0; index < 4; index++) {
    const pointer = load<u64>(REGION_RAM + <i32>(first + 8 * index));
    if ((pointer & PRESENT) != 0 && (pointer & RESERVED_POINTER) != 0) return false;
  }
  return true;
}

function mark32(entryAt: usize, bits: u32): void {
  const entry = load<u32>(entryAt);
  if ((entry & bits) != bits) store<u32>(entryAt, entry | bits);
}

/** Entries of 4 bytes, pages of 4 KiB and (CR4.PSE) 4 MiB, no execute-disable (SDM vol. 3A §4.3). */
function walkTwoLevels(address: u32, kind: u32, marks: bool): i32 {
  const directoryPhys = (load<u64>(STATE_CR3) & 0xfffff000) + ((address >> 22) << 2);
  if (directoryPhys + 4 > ramBytes) return noMemory(directoryPhys);
  const directoryAt: usize = REGION_RAM + <i32>directoryPhys;
  const directory = load<u32>(directoryAt);
  if ((directory & PRESENT) == 0) return fail(kind, 0);
  const isLarge = (directory & LARGE) != 0 && (load<u64>(STATE_CR4) & CR4_PSE) != 0;
  if (isLarge && (directory & HUGE_RESERVED) != 0) return fail(kind, ERROR_PRESENT | ERROR_RESERVED);
  let at = directoryAt;
  let rights = directory;
  if (!isLarge) {
    const phys = <u64>(directory & 0xfffff000) + (((address >> 12) & 0x3ff) << 2);
    if (phys + 4 > ramBytes) return noMemory(phys);
    at = REGION_RAM + <i32>phys;
    const entry = load<u32>(at);
    if ((entry & PRESENT) == 0) return fail(kind, 0);
    rights &= entry;
  }
  if (!allows(rights, false, kind)) return fail(kind, ERROR_PRESENT);
  if (marks) {
    if (!isLarge) mark32(directoryAt, ACCESSED);
    mark32(at, (kind & KIND_WRITE) != 0 ? ACCESSED | DIRTY : ACCESSED);
  }
  const entry = load<u32>(at);
  huge = isLarge;
  return mapped(entry, isLarge, isLarge ? (entry & 0xffc00000) | (address & 0x3fffff) : (entry & 0xfffff000) | (address & 0xfff));
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
const LARGE_BYTES: u64 = 0x200000;

let logged: u32 = 0;

function tlb(user: bool): usize {
  return user ? REGION_USER_TLB : REGION_KERNEL_TLB;
}

function largeRegionByte(address: u64): usize {
  return REGION_LARGE_REGIONS + <i32>((regionHash(address) & (REGION_BITS - 1)) >> 3);
}

function noteLargeRegion(address: u64): void {
  const byte = largeRegionByte(address);
  store<u8>(byte, load<u8>(byte) | (1 << (<u8>regionHash(address) & 7)));
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
  if (large) noteLargeRegion(address);
  if (huge) noteLargeRegion(address ^ LARGE_BYTES);
  if (!global) {
    if (logged == LOG_ENTRIES) flushAll();
    else store<u16>(REGION_TLB_LOG + 2 * logged++, <u16>(user ? index + TLB_ENTRIES : index));
  }
  return stores;
}

/** WebAssembly address of what the kernel mode's TLB has for an access of the CPU itself (KIND_WRITE or 0), or 0. */
export function cached(address: u64, kind: u32): usize {
  const at = REGION_KERNEL_TLB + (<u32>(address >> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
  const tag = kind == KIND_WRITE ? load<u64>(at, TLB_WRITE_TAG) : load<u64>(at, TLB_READ_TAG);
  return tag == (address & PAGE) ? load<u32>(at, TLB_ADDEND) + <u32>address : 0;
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
