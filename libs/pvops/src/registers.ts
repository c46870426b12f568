import { AppError } from '@pvtrail/primitives';

export type Bits = 32 | 64;
/** How the kernel's page tables are built; decides slot numbers and the width of page-table values (domain.md §1.2). */
export type Paging = '2level' | 'pae' | '4level';

export const bitsOf = (paging: Paging): Bits => (paging === '4level' ? 64 : 32);

/** The caller-saved registers that clobber masks, thunks and save sets speak of, by bitness; 32-bit EDI is saved by asm sites. */
export type Register64 = 'rax' | 'rcx' | 'rdx' | 'rsi' | 'rdi' | 'r8' | 'r9' | 'r10' | 'r11';
export type Register32 = 'eax' | 'ecx' | 'edx' | 'edi';
export type Register = Register64 | Register32;

/**
 * The calling convention of every standard op (domain.md §1.1): argument words in order (further 32-bit words go to the stack),
 * the result of one word and of 64 bits, and what a callee may lose.
 */
export const STANDARD_CONVENTION = {
  32: {
    arguments: ['eax', 'edx', 'ecx'],
    resultWord: ['eax'],
    resultU64: ['eax', 'edx'],
    callerSaved: ['eax', 'ecx', 'edx'],
  },
  64: {
    arguments: ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'],
    resultWord: ['rax'],
    resultU64: ['rax'],
    callerSaved: ['rax', 'rcx', 'rdx', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11'],
  },
} as const satisfies Record<Bits, Record<string, readonly Register[]>>;

/** Opcodes of push and pop: one byte for the legacy registers, 41 xx for r8 … r11 (Intel SDM vol. 2, PUSH, POP). */
const ENCODING: Record<Register, { readonly prefix: readonly number[]; readonly number: number }> = {
  rax: { prefix: [], number: 0 },
  rcx: { prefix: [], number: 1 },
  rdx: { prefix: [], number: 2 },
  rsi: { prefix: [], number: 6 },
  rdi: { prefix: [], number: 7 },
  r8: { prefix: [0x41], number: 0 },
  r9: { prefix: [0x41], number: 1 },
  r10: { prefix: [0x41], number: 2 },
  r11: { prefix: [0x41], number: 3 },
  eax: { prefix: [], number: 0 },
  ecx: { prefix: [], number: 1 },
  edx: { prefix: [], number: 2 },
  edi: { prefix: [], number: 7 },
};

export const pushBytes = (register: Register): readonly number[] => {
  const { prefix, number } = ENCODING[register];
  return [...prefix, 0x50 + number];
};

export const popBytes = (register: Register): readonly number[] => {
  const { prefix, number } = ENCODING[register];
  return [...prefix, 0x58 + number];
};

/** `wanted` of `all`, in the order of `all`. */
export const without = (all: readonly Register[], unwanted: readonly Register[]): readonly Register[] =>
  all.filter((register) => !unwanted.includes(register));

/** @throws AppError `input/unsupported-combination` when a 64-bit kernel is not 4-level or a 32-bit one is */
export const requirePaging = (bits: Bits, paging: Paging): void => {
  if (bitsOf(paging) !== bits) {
    throw new AppError('input/unsupported-combination', `${bits}-bit guests do not have ${paging} paging`);
  }
};
