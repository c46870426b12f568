import type { SeededRandom } from '@pvtrail/primitives';
import type { Width } from './assembler.js';

const BOUNDARIES: readonly bigint[] = [
  0n,
  1n,
  -1n,
  2n,
  -2n,
  0x7fn,
  0x80n,
  0xffn,
  -0x80n,
  0x100n,
  0x7fffn,
  0x8000n,
  0xffffn,
  -0x8000n,
  0x10000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  -0x80000000n,
  0x100000000n,
  0x7fffffffffffffffn,
  -0x8000000000000000n,
  0x5555555555555555n,
];

/** A value whose sign, carry or zero matters more often than in a random one. */
export function interestingValue(random: SeededRandom): bigint {
  switch (random.below(8)) {
    case 0:
    case 1:
      return BigInt.asUintN(64, random.pick(BOUNDARIES));
    case 2:
      return 1n << BigInt(random.below(64));
    case 3:
      return BigInt.asUintN(64, ~(1n << BigInt(random.below(64))));
    case 4:
      return random.nextU64() >> BigInt(random.below(64));
    case 5:
      return BigInt.asUintN(64, BigInt(random.below(512) - 256));
    default:
      return random.nextU64();
  }
}

/** An immediate of `bits` bits; 64-bit operands take a sign-extended 32-bit one. */
export const interestingImmediate = (random: SeededRandom, bits: 8 | 16 | 32 | 64): bigint =>
  BigInt.asUintN(bits, random.below(4) === 0 ? BigInt.asIntN(bits, random.nextU64()) : interestingValue(random));

/** A shift count at or beside the places where shifts of a width change their behaviour. */
export function interestingCount(random: SeededRandom, width: Width): number {
  const edges = [0, 1, 1, 2, 3, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 63, 64, 65, width - 1, width, width + 1, 255];
  return random.below(4) === 0 ? random.below(256) : random.pick(edges) & 0xff;
}

/** Memory that holds boundary values, random bytes and runs of equal ones (for string compares). */
export function interestingMemory(random: SeededRandom, bytes: number): Uint8Array {
  const memory = new Uint8Array(bytes);
  const view = new DataView(memory.buffer);
  for (let at = 0; at < bytes; at += 8) {
    const run = random.below(16) === 0 ? 8 * (1 + random.below(12)) : 8;
    const value = run > 8 ? BigInt(random.below(2)) * 0x0101010101010101n : interestingValue(random);
    for (const end = Math.min(bytes, at + run); at < end; at += 8) view.setBigUint64(at, value, true);
    at -= 8;
  }
  return memory;
}
