import { cached, fill, isCanonical, isProtected, KIND_WRITE, walk } from './paging';

/** The CPU's registers and memory as the CPU itself uses them, for handlers and returns of both modes. */

export const RSP: usize = 4;

export const IF: u32 = 0x200;
export const TF: u32 = 0x100;
export const NT: u32 = 0x4000;
export const RF: u32 = 0x10000;
export const VM: u32 = 0x20000;
const ARITHMETIC: u32 = 0x8d5;
/** What iret loads at privilege level 0: the arithmetic flags, TF, IF, DF, IOPL, NT, RF, AC, ID. */
export const RETURNED: u32 = 0x257fd5;
/** The lazy form of flags that are stored as they are. */
const EXPLICIT: u32 = 3;

/** Types of gates of both modes. */
export const INTERRUPT_GATE: u32 = 0xe;
export const TRAP_GATE: u32 = 0xf;

/** Vectors 8, 10 to 14 and 17 push an error code. */
const WITH_ERROR_CODE: u32 = 0x27d00;

// @ts-ignore: decorator
@external('runtime', 'flags')
declare function arithmeticFlags(kind: u32, a: u64, b: u64): u32;

export function gpr(register: usize): u64 {
  return load<u64>(register << 3);
}

export function setGpr(register: usize, value: u64): void {
  store<u64>(register << 3, value);
}

export function flags(): u32 {
  const kind = load<u32>(STATE_FLAG_KIND);
  return arithmeticFlags(kind, load<u64>(STATE_FLAG_A), load<u64>(STATE_FLAG_B)) | load<u32>(STATE_SYSTEM_FLAGS);
}

export function setFlags(value: u32): void {
  store<u32>(STATE_FLAG_KIND, EXPLICIT);
  store<u64>(STATE_FLAG_A, value & ARITHMETIC);
  store<u32>(STATE_SYSTEM_FLAGS, (value & ~ARITHMETIC) | 2);
}

export function pushesErrorCode(vector: u32): bool {
  return vector < 32 && ((WITH_ERROR_CODE >> vector) & 1) != 0;
}

/** Something was met that is left to JavaScript. */
export let unusual: bool = false;

export function begin(): void {
  unusual = false;
}

export function giveUp(): void {
  unusual = true;
}

/** WebAssembly address of `bytes` bytes in one page, for the CPU itself; sets `unusual` when there is none. */
export function place(address: u64, bytes: u64, kind: u32): usize {
  if ((address & 0xfff) + bytes > 0x1000 || !isCanonical(address)) {
    unusual = true;
    return 0;
  }
  const known = cached(address, kind);
  if (known != 0) return known;
  const phys = walk(address, kind, true);
  if (phys < 0 || ((kind & KIND_WRITE) != 0 && isProtected(phys))) {
    unusual = true;
    return 0;
  }
  fill(false, address, phys);
  return REGION_RAM + phys;
}

/** WebAssembly address of a descriptor in the GDT; sets `unusual` when there is none. */
export function descriptorPlace(selector: u32): usize {
  if ((selector & 4) != 0 || selector < 4 || (selector | 7) > load<u32>(STATE_GDTR_LIMIT)) {
    unusual = true;
    return 0;
  }
  return place(load<u64>(STATE_GDTR_BASE) + (selector & 0xfff8), 8, 0);
}

/** The privilege level of a descriptor or a gate. */
export function privilege(descriptor: u64): u32 {
  return <u32>(descriptor >> 45) & 3;
}
