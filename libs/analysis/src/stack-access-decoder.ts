/**
 * A second, independent reading of an instruction's bytes: does it push, pop or address memory through the stack pointer, or
 * through the frame pointer (which may hold anything, so that only the catalogue can tell)? It knows opcodes, ModRM and SIB
 * (Intel SDM vol. 2, appendix A) and shares nothing with the decoder of `@pvtrail/x86`, so that the register-save ledger is counted
 * twice. pushf and popf, call and ret are no stack access in this sense.
 */
export const stackAccessOf = (bytes: Uint8Array, bits: 32 | 64): 'stack' | 'frame' | undefined => {
  const { opcodeAt, extended } = skipPrefixes(bytes, bits);
  const opcode = bytes[opcodeAt] ?? 0;
  const next = bytes[opcodeAt + 1] ?? 0;
  if (opcode === 0x0f) return twoByteStackAccess(bytes, opcodeAt + 1, extended);
  if (isPushOrPop(opcode, next, bits)) return 'stack';
  return hasModRm(opcode) && opcode !== LEA ? baseOf(next, bytes[opcodeAt + 2] ?? 0, extended) : undefined;
};

const LEA = 0x8d;
const LEAVE = 0xc9;
const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
const REX_B = 1;

const skipPrefixes = (bytes: Uint8Array, bits: 32 | 64): { opcodeAt: number; extended: boolean } => {
  let at = 0;
  while (PREFIXES.has(bytes[at] ?? 0)) at++;
  const byte = bytes[at] ?? 0;
  const rex = bits === 64 && byte >> 4 === 4;
  return { opcodeAt: rex ? at + 1 : at, extended: rex && (byte & REX_B) !== 0 };
};

/** 06 0e 16 1e and 07 17 1f (segment registers), 60 61 (all registers): 32 bit only. */
const LEGACY_PUSH_POP = new Set([0x06, 0x0e, 0x16, 0x1e, 0x07, 0x17, 0x1f, 0x60, 0x61]);

const isPushOrPop = (opcode: number, modRm: number, bits: 32 | 64): boolean =>
  (opcode >= 0x50 && opcode <= 0x5f) ||
  opcode === 0x68 ||
  opcode === 0x6a ||
  opcode === LEAVE ||
  (opcode === 0x8f && reg(modRm) === 0) ||
  (opcode === 0xff && reg(modRm) === 6) ||
  (bits === 32 && LEGACY_PUSH_POP.has(opcode));

const reg = (modRm: number): number => (modRm >> 3) & 7;

/** One-byte opcodes with a ModRM byte. */
const hasModRm = (opcode: number): boolean =>
  (opcode < 0x40 && (opcode & 7) < 4) ||
  opcode === 0x63 ||
  opcode === 0x69 ||
  opcode === 0x6b ||
  (opcode >= 0x80 && opcode <= 0x8f) ||
  opcode === 0xc0 ||
  opcode === 0xc1 ||
  opcode === 0xc6 ||
  opcode === 0xc7 ||
  (opcode >= 0xd0 && opcode <= 0xd3) ||
  (opcode >= 0xd8 && opcode <= 0xdf) ||
  opcode === 0xf6 ||
  opcode === 0xf7 ||
  opcode === 0xfe ||
  opcode === 0xff;

/** Push and pop of fs and gs. */
const SEGMENT_PUSH_POP = new Set([0xa0, 0xa1, 0xa8, 0xa9]);

const twoByteStackAccess = (bytes: Uint8Array, at: number, extended: boolean): 'stack' | 'frame' | undefined => {
  const opcode = bytes[at] ?? 0;
  if (SEGMENT_PUSH_POP.has(opcode)) return 'stack';
  if (opcode === 0x38 || opcode === 0x3a) return baseOf(bytes[at + 2] ?? 0, bytes[at + 3] ?? 0, extended);
  return hasTwoByteReference(opcode) ? baseOf(bytes[at + 1] ?? 0, bytes[at + 2] ?? 0, extended) : undefined;
};

/** Hints and multi-byte nops (18-1f) reference nothing; control register moves, jcc, cpuid, bswap and the like have no memory operand. */
const hasTwoByteReference = (opcode: number): boolean =>
  !(opcode >= 0x18 && opcode <= 0x23) &&
  !(opcode >= 0x80 && opcode <= 0x8f) &&
  !(opcode >= 0xc8 && opcode <= 0xcf) &&
  !(opcode >= 0x30 && opcode <= 0x37) &&
  ![0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x77, 0xa2, 0xaa].includes(opcode);

/**
 * The register that addresses memory, if it is the stack pointer (4) or the frame pointer (5): in a SIB byte where ModRM says 4.
 * REX.B makes them r12 and r13; 5 without displacement (mod 0) is no register.
 */
const baseOf = (modRm: number, sib: number, extended: boolean): 'stack' | 'frame' | undefined => {
  const mod = modRm >> 6;
  if (mod === 3 || extended) return undefined;
  const base = (modRm & 7) === 4 ? sib & 7 : modRm & 7;
  if (base === 5) return mod === 0 ? undefined : 'frame';
  return (modRm & 7) === 4 && base === 4 ? 'stack' : undefined;
};
