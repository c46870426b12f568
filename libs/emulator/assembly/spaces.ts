import { FAULT, flushAll, flushNonGlobal, flushPage, KIND_FETCH, KIND_USER, large, walk } from './paging';

/**
 * Knows which code mappings translated code relies on, and looks again when the guest may have changed them: the user's at each load
 * of CR3 and invlpg, the kernel's likewise, by 2 MiB region where it is mapped so.
 *
 * A list of mappings has a count (u32) and rows of 16 bytes: virtual page (u64), guest-physical page (u32). The user's lists lie in
 * records that begin with CR3 (u32) and the number by which the jump cache knows the address space (u32).
 */

const ROW_BYTES: usize = 16;
const NUMBER: usize = 4;
const COUNT: usize = 8;
const ROWS: usize = 16;
const KERNEL_ROWS: u32 = 255;
const USER_ROWS: u32 = (SPACE_BYTES - 16) / 16;
const PAGE: u64 = ~(<u64>0xfff);
const LARGE_PAGE: u64 = ~(<u64>0x1fffff);

let current: usize = 0;
let used: u32 = 0;
let nextNumber: u32 = 1;
/** Kernel code is mapped otherwise than translated code supposes. */
export let kernelChanged: bool = false;

export function acknowledgeKernelChange(): void {
  kernelChanged = false;
}

/** Forgets all spaces and enters that of the current CR3. */
export function resetSpaces(): void {
  used = 0;
  store<u32>(REGION_KERNEL_CODE, 0, COUNT);
  enter(newSpace(cr3()));
}

function cr3(): u32 {
  return load<u32>(STATE_CR3) & 0xffffffe0;
}

function enter(space: usize): void {
  current = space;
  store<u32>(STATE_SPACE, load<u32>(space, NUMBER));
}

function newSpace(table: u32): usize {
  if (used == <u32>SPACES) used = 0;
  const space = REGION_SPACES + SPACE_BYTES * used++;
  store<u32>(space, table);
  store<u32>(space, 0, COUNT);
  store<u32>(space, nextNumber++, NUMBER);
  return space;
}

function find(table: u32): usize {
  for (let index: u32 = 0; index < used; index++) {
    const space = REGION_SPACES + SPACE_BYTES * index;
    if (load<u32>(space) == table) return space;
  }
  return 0;
}

/** Code at an address was just fetched from this physical address. The walk that found it is the last one. */
export function noteFetch(low: u32, high: u32, phys: u32, user: bool): void {
  const address = (<u64>high << 32) | low;
  const list = user ? current : <usize>REGION_KERNEL_CODE;
  const mask = !user && large ? LARGE_PAGE : PAGE;
  const page = address & mask;
  const physPage = phys & <u32>mask;
  const count = load<u32>(list, COUNT);
  for (let row: u32 = 0; row < count; row++) {
    const at = list + ROWS + ROW_BYTES * row;
    if (load<u64>(at) != page) continue;
    store<u32>(at, physPage, 8);
    return;
  }
  if (count == (user ? USER_ROWS : KERNEL_ROWS)) {
    forget(list, user);
    return noteFetch(low, high, phys, user);
  }
  const at = list + ROWS + ROW_BYTES * count;
  store<u64>(at, page);
  store<u32>(at, physPage, 8);
  store<u32>(list, count + 1, COUNT);
}

/** A list is full: what relied on it is looked up anew. */
function forget(list: usize, user: bool): void {
  store<u32>(list, 0, COUNT);
  if (!user) {
    kernelChanged = true;
    return;
  }
  store<u32>(list, nextNumber++, NUMBER);
  enter(list);
}

function stands(list: usize, kind: u32): bool {
  const count = load<u32>(list, COUNT);
  for (let row: u32 = 0; row < count; row++) {
    const at = list + ROWS + ROW_BYTES * row;
    if (walk(load<u64>(at), kind, false) != load<i32>(at, 8)) return false;
  }
  return true;
}

/** Not in user mode: a hypervisor gives it tables of its own, without the kernel. */
function checkKernel(): void {
  if (load<u32>(STATE_CPL) == 3) return;
  if (stands(REGION_KERNEL_CODE, KIND_FETCH)) return;
  store<u32>(REGION_KERNEL_CODE, 0, COUNT);
  kernelChanged = true;
}

/** Drops mappings that have changed; the space gets a new number then. */
function checkUser(space: usize): void {
  const count = load<u32>(space, COUNT);
  let kept: u32 = 0;
  for (let row: u32 = 0; row < count; row++) {
    const at = space + ROWS + ROW_BYTES * row;
    if (walk(load<u64>(at), KIND_FETCH | KIND_USER, false) != load<i32>(at, 8)) continue;
    if (kept != row) memory.copy(space + ROWS + ROW_BYTES * kept, at, ROW_BYTES);
    kept++;
  }
  if (kept == count) return;
  store<u32>(space, kept, COUNT);
  store<u32>(space, nextNumber++, NUMBER);
}

function switched(): void {
  checkKernel();
  enterCurrent();
}

function enterCurrent(): void {
  const known = find(cr3());
  if (known == 0) {
    enter(newSpace(cr3()));
    return;
  }
  checkUser(known);
  enter(known);
}

/** A load of CR3 by the guest. */
export function loadPageTables(value: u64): void {
  store<u64>(STATE_CR3, value);
  flushNonGlobal();
  switched();
}

/** The tables of the other mode: under a hypervisor each mode has its own, so that no translation has to be forgotten. */
export function switchPageTables(value: u64): void {
  store<u64>(STATE_CR3, value);
  enterCurrent();
}

/** CR0, CR3, CR4 or EFER has been changed from outside. */
export function pagingChanged(): void {
  flushAll();
  switched();
}

/** What invlpg does. */
export function invalidatePage(address: u64): void {
  flushPage(address);
  checkKernel();
  checkUser(current);
  enter(current);
}

/** Forgets the translation of a page of data. */
export function flushPageHalves(low: u32, high: u32): void {
  flushPage((<u64>high << 32) | low);
}

export function invalidatePageHalves(low: u32, high: u32): void {
  invalidatePage((<u64>high << 32) | low);
}
