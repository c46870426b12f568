import { DF, STATUS_FLAGS } from './forms.js';
import type { Outcome } from './native-host.js';
import { type PlacedRegion, type Region, undefinedFlags } from './region.js';

const NAMES = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
const BREAKPOINT = 3;
const PAGE_FAULT = 14;
const ERROR_PRESENT = 1;
const ERROR_USER = 4;
const ALL_FLAGS = BigInt(STATUS_FLAGS | DF);
const KERNEL_HALF = 1n << 63n;

/** One field that differs, as the report prints it. */
export interface Difference {
  readonly field: string;
  readonly native: string;
  readonly emulated: string;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** The flags to compare where a case ended: none of the undefined ones, and none at an address outside the region. */
export function comparedFlags(region: Region, placed: PlacedRegion, native: Outcome): number {
  const before = undefinedFlags(region);
  const at = native.vector === BREAKPOINT ? native.rip - 1n : native.rip;
  const index = placed.addresses.findIndex((address, i) => BigInt(address) === at && region[i]?.kind === 'instruction');
  if (index >= 0) return (STATUS_FLAGS & ~(before[index] ?? STATUS_FLAGS)) | DF;
  return DF;
}

/**
 * The error code that the native one stands for. In kernel mode the U bit is clear. The host hides whether a page of its own
 * kernel is present, so P is not compared there.
 */
function expectedErrorCode(native: Outcome, cpl: 0 | 3): { value: number; mask: number } {
  if (native.vector !== PAGE_FAULT) return { value: native.errorCode, mask: ~0 };
  const value = cpl === 0 ? native.errorCode & ~ERROR_USER : native.errorCode;
  return { value, mask: native.cr2 >= KERNEL_HALF ? ~ERROR_PRESENT : ~0 };
}

/** Everything in which the emulated outcome differs from the native one; empty when they agree. */
export function differences(native: Outcome, emulated: Outcome, comparedFlags: () => number, cpl: 0 | 3): Difference[] {
  const found: Difference[] = [];
  const check = (field: string, left: bigint | number, right: bigint | number): void => {
    if (left !== right) found.push({ field, native: hex(left), emulated: hex(right) });
  };
  if (emulated.failure !== undefined)
    return [{ field: 'end', native: `vector ${native.vector}`, emulated: emulated.failure }];
  check('vector', native.vector, emulated.vector);
  check('rip', native.rip, emulated.rip);
  if (native.vector === emulated.vector) {
    const { value, mask } = expectedErrorCode(native, cpl);
    check('error code', value & mask, emulated.errorCode & mask);
    if (native.vector === PAGE_FAULT) check('cr2', native.cr2, emulated.cr2);
  }
  native.gpr.forEach((value, i) => {
    check(NAMES[i] ?? '', value, emulated.gpr[i] ?? -1n);
  });
  if (((native.rflags ^ emulated.rflags) & ALL_FLAGS) !== 0n) {
    const flags = comparedFlags();
    check('flags', Number(native.rflags) & flags, Number(emulated.rflags) & flags);
  }
  compareMemory(native, emulated, check);
  return found;
}

function compareMemory(
  native: Outcome,
  emulated: Outcome,
  check: (field: string, left: bigint | number, right: bigint | number) => void,
): void {
  const other = new Map(emulated.changes.map(({ address, value }) => [address, value]));
  for (const { address, value } of native.changes) {
    check(`memory ${hex(address)}`, value, other.get(address) ?? -1n);
    other.delete(address);
  }
  for (const [address, value] of other) check(`memory ${hex(address)} (unchanged natively)`, -1n, value);
}
