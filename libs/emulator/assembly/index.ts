import { deliverFault, deliverInterrupt, interruptReturn, prepareEntry, readTimeStamp } from './cpu';
import { deliverFault32, deliverInterrupt32, deliverSoftware32, interruptReturn32, prepareEntry32 } from './cpu-32';
import { errorCode, FAULT, fill, isCanonical, isRoot, KIND_USER, KIND_WRITE, walk } from './paging';
import { acknowledge, fuelEmpty, waitingVector } from './platform';
import { gpr } from './registers';
import { extrasLow, keepAddresses, PARTIAL, recordEvent, recording } from './recording';
import { invalidatePage, kernelChanged, loadPageTables } from './spaces';

export {
  beyond, dirty, errorCode, fill, flushAll, isRoot, large, protect, setRamBytes, unprotect, walkHalves, writable,
} from './paging';
export { loadSegment } from './cpu-32';
export { fuelEmpty, request, setTimer, skipToTimer } from './platform';
export { countInstructions, setRecording } from './recording';
export {
  acknowledgeKernelChange, flushPageHalves, invalidatePageHalves, kernelChanged, loadPageTables, noteFetch, pagingChanged, resetSpaces,
  switchPageTables,
} from './spaces';

/** The guest is a 32-bit one. */
let narrow: bool = false;

export function setBits(bits: u32): void {
  narrow = bits == 32;
}

/** Runs generated code from a table slot until it leaves. */
// @ts-ignore: decorator
@external('runtime', 'enter')
declare function enter(slot: i32): void;

// @ts-ignore: decorator
@external('script', 'miss')
declare function missInScript(low: u32, high: u32, site: u32): u32;

/** Runs generated code from a table slot until it leaves for something that only JavaScript can do: `exitReason` says what. */
export function run(first: i32): void {
  let slot = first;
  do {
    enter(slot);
    slot = next();
  } while (slot >= 0);
}

/** Does what made generated code leave, if it can be done here: the slot at which to go on, or -1. */
function next(): i32 {
  switch (load<u32>(STATE_EXIT_REASON)) {
    case EXIT_DELIVERED:
      break;
    case EXIT_TIMER:
      fuelEmpty();
      if (!takeInterrupt()) return -1;
      break;
    case EXIT_SYSTEM:
      if (!system(REGION_SITES + SITE_ENTRY_BYTES * load<u32>(STATE_EXIT_SITE))) return -1;
      break;
    default:
      return -1;
  }
  store<u32>(STATE_EXIT_REASON, EXIT_LOOKUP);
  if (kernelChanged) return -1;
  if (recording && extrasLow()) {
    store<u32>(STATE_EXIT_REASON, EXIT_DRAIN);
    return -1;
  }
  return find();
}

/** The slot of the code at rip as the jump cache knows it, or -1. */
function find(): i32 {
  const rip = load<u64>(STATE_RIP);
  const user = load<u32>(STATE_CPL) == 3;
  const space = user ? load<u32>(STATE_SPACE) : 0;
  const low = <u32>rip;
  const hash = (low ^ (low >> JUMP_CACHE_FOLD_BITS) ^ (space << JUMP_CACHE_SPACE_SHIFT)) & (JUMP_CACHE_ENTRIES - 1);
  const at = (user ? REGION_USER_JUMP_CACHE : REGION_KERNEL_JUMP_CACHE) + hash * JUMP_CACHE_ENTRY_BYTES;
  if (load<u64>(at, JUMP_CACHE_TAG) != rip || (user && load<u32>(at, JUMP_CACHE_SPACE) != space)) return -1;
  return load<i32>(at, JUMP_CACHE_SLOT);
}

/** Takes an interrupt that waits, if there is one. False when JavaScript must take it. */
function takeInterrupt(): bool {
  const vector = waitingVector();
  if (vector < 0) return true;
  if (!prepare(vector)) {
    store<u32>(STATE_EXIT_REASON, EXIT_INTERRUPTIBLE);
    return false;
  }
  acknowledge(vector);
  if (narrow) deliverInterrupt32(vector);
  else deliverInterrupt(vector);
  return true;
}

/** A root of page tables beyond these bits of physical addresses is left to JavaScript, which refuses it. */
const PHYSICAL_BITS: u64 = 36;

/** Looks whether the handler of a fault or an interrupt can be entered here. */
function prepare(vector: u32): bool {
  return narrow ? prepareEntry32(vector, false) : prepareEntry(vector);
}

/** A system instruction at the end of its block. False when JavaScript must do it. */
function system(site: usize): bool {
  const operation = <u32>load<u8>(site, SITE_OPERATION);
  if (operation == OPERATION_INT) return softwareInterrupt(site);
  if (load<u8>(site, SITE_USER) != 0) return false;
  const slotsBefore = load<u16>(site, SITE_SLOTS_BEFORE);
  const operand = load<u8>(site, SITE_OPERAND);
  switch (operation) {
    case OPERATION_IRETQ:
      return interruptReturn(slotsBefore);
    case OPERATION_IRETD:
      return interruptReturn32(slotsBefore);
    case OPERATION_MOV_CR3: {
      const root = gpr(operand);
      if (root >> PHYSICAL_BITS || !isRoot(root)) return false;
      loadPageTables(root);
      break;
    }
    case OPERATION_INVLPG:
      invalidatePage(load<u64>(STATE_SCRATCH0));
      break;
    case OPERATION_RDTSC:
      readTimeStamp();
      break;
    default:
      return false;
  }
  keepAddresses(load<u16>(site, SITE_SLOTS));
  store<u64>(STATE_RIP, load<u64>(site, SITE_RIP) + load<u8>(site, SITE_LENGTH));
  return true;
}

/** An int instruction of 32-bit code, in either mode. */
function softwareInterrupt(site: usize): bool {
  const vector = load<u8>(site, SITE_OPERAND);
  if (load<u32>(STATE_EXCEPTIONS_EXIT) != 0 || !prepareEntry32(vector, true)) return false;
  keepAddresses(load<u16>(site, SITE_SLOTS));
  if (load<u8>(site, SITE_USER) != 0) {
    store<u32>(STATE_USER_FUEL, load<u32>(STATE_USER_FUEL) - load<u8>(site, SITE_INSTRUCTIONS));
  }
  store<u64>(STATE_RIP, load<u64>(site, SITE_RIP) + load<u8>(site, SITE_LENGTH));
  deliverSoftware32(vector);
  return true;
}

/**
 * The TLB lacks a page: fills it and returns the WebAssembly address of `address`, or 0 when generated code must leave. All of the
 * CPU's state but rip and the kind of the flags is in the state area.
 */
export function miss(address: u64, index: u32): u32 {
  const site = REGION_SITES + SITE_ENTRY_BYTES * index;
  const user = load<u8>(site, SITE_USER) != 0;
  const access = load<u8>(site, SITE_ACCESS);
  if ((address & 0xfff) + load<u16>(site, SITE_RANGE_BYTES) <= 0x1000 && isCanonical(address)) {
    const kind = (user ? KIND_USER : 0) | ((access & ACCESS_FIRST_WRITES) != 0 ? KIND_WRITE : 0);
    const phys = walk(address, kind, true);
    if (phys >= 0) {
      const storesAllowed = fill(user, address, phys);
      if (storesAllowed || (access & ACCESS_RANGE_WRITES) == 0) return REGION_RAM + phys;
    } else if (phys == FAULT && pageFault(address + load<i16>(site, SITE_FIRST_OFFSET), site)) return 0;
  }
  return missInScript(<u32>address, <u32>(address >> 32), index);
}

const PAGE_FAULT: u32 = 14;

/** Lets the guest's handler have a page fault, when nothing about it is unusual. */
function pageFault(address: u64, site: usize): bool {
  if (load<u32>(STATE_EXCEPTIONS_EXIT) != 0) return false;
  const code = errorCode;
  store<u64>(STATE_RIP, load<u64>(site, SITE_RIP));
  const flagKind = load<i32>(site, SITE_FLAG_KIND);
  if (flagKind >= 0) store<u32>(STATE_FLAG_KIND, flagKind);
  if (!prepare(PAGE_FAULT)) return false;
  const retired = <u32>load<u8>(site, SITE_INDEX);
  keepAddresses(load<u16>(site, SITE_SLOTS_BEFORE));
  if (retired < load<u8>(site, SITE_INSTRUCTIONS)) recordEvent(PARTIAL, retired);
  if (load<u8>(site, SITE_USER) != 0) store<u32>(STATE_USER_FUEL, load<u32>(STATE_USER_FUEL) - retired);
  store<u64>(STATE_CR2, address);
  if (narrow) deliverFault32(PAGE_FAULT, code);
  else deliverFault(PAGE_FAULT, code);
  store<u32>(STATE_EXIT_REASON, EXIT_DELIVERED);
  return true;
}
