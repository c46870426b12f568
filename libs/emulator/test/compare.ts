import { GENERAL_REGISTERS } from '@pvtrail/x86';
import { DF, STATUS_FLAGS } from './forms.js';
import type { Outcome } from './native-host.js';
import { type PlacedRegion, type Region, undefinedFlags } from './region.js';

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

const REPEAT_PREFIXES: readonly number[] = [0xf2, 0xf3];
const ADDRESS_SIZE_PREFIX = 0x67;
const COMPARE_OPCODES: readonly number[] = [0xa6, 0xa7, 0xae, 0xaf];
const STRING_OPCODES: readonly number[] = [...COMPARE_OPCODES, 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad];
const STRING_REGISTERS: readonly number[] = [1, 6, 7];
const LOW_HALF = 0xffffffffn;

const repeats = (bytes: readonly number[], opcodes: readonly number[]): boolean =>
  opcodes.includes(bytes.at(-1) ?? 0) && bytes.slice(0, -1).some((byte) => REPEAT_PREFIXES.includes(byte));

/** What of an outcome is compared. */
export interface Compared {
  readonly flags: number;
  /** Of rcx, rsi and rdi only the lower halves. */
  readonly lowHalves: boolean;
}

/**
 * What to compare where a case ended: no undefined flags, and none at an address outside the region. Where a repeated string
 * instruction faults, processors disagree: a comparison leaves the flags of before (SDM vol. 2, REP) or of the last element, and one with
 * 32-bit addresses has cut its registers or not.
 */
export function compared(region: Region, placed: PlacedRegion, native: Outcome): Compared {
  const before = undefinedFlags(region);
  const at = native.vector === BREAKPOINT ? native.rip - 1n : native.rip;
  const index = placed.addresses.findIndex((address, i) => BigInt(address) === at && region[i]?.kind === 'instruction');
  const step = region[index];
  if (step?.kind !== 'instruction') return { flags: DF, lowHalves: false };
  const { bytes } = step;
  const faulted = native.vector !== BREAKPOINT;
  return {
    flags: faulted && repeats(bytes, COMPARE_OPCODES) ? DF : (STATUS_FLAGS & ~(before[index] ?? STATUS_FLAGS)) | DF,
    lowHalves: faulted && bytes.includes(ADDRESS_SIZE_PREFIX) && repeats(bytes, STRING_OPCODES),
  };
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
export function differences(
  native: Outcome,
  emulated: Outcome,
  whatToCompare: () => Compared,
  cpl: 0 | 3,
): Difference[] {
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
    const other = emulated.gpr[i] ?? -1n;
    const cut = value !== other && STRING_REGISTERS.includes(i) && whatToCompare().lowHalves;
    check(GENERAL_REGISTERS[64][i] ?? '', cut ? value & LOW_HALF : value, cut ? other & LOW_HALF : other);
  });
  if (((native.rflags ^ emulated.rflags) & ALL_FLAGS) !== 0n) {
    const { flags } = whatToCompare();
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
