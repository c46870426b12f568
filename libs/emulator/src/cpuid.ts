import type { Bits } from './decode.js';

/** TSC MSR PAE CX8 SEP PGE CMOV PSE. */
const FEATURES_EDX = 0x0000a978;
/** SYSCALL, NX, long mode. */
const EXTENDED_EDX = 0x20100800;
/** NX. */
const EXTENDED_EDX_32 = 0x00100000;
/** Family 6, model 15, stepping 11: a processor of the period (Core 2). */
const SIGNATURE = 0x6fb;

/** An Intel processor with NOPL, PSE, PGE, PAE, NX, SYSCALL (docs/adr/001); for 32-bit guests one without long mode (docs/adr/006). */
export const cpuidLeaf = (leaf: number, bits: Bits): readonly [eax: number, ebx: number, ecx: number, edx: number] => {
  switch (leaf >>> 0) {
    case 0:
      return [1, 0x756e6547, 0x6c65746e, 0x49656e69];
    case 1:
      return [SIGNATURE, 0, 0, FEATURES_EDX];
    case 0x80000000:
      return [0x80000008, 0, 0, 0];
    case 0x80000001:
      return bits === 64 ? [0, 0, 1, EXTENDED_EDX] : [0, 0, 0, EXTENDED_EDX_32];
    case 0x80000008:
      return [0x3024, 0, 0, 0];
    default:
      return [0, 0, 0, 0];
  }
};
