import { Register, RegisterExt } from 'iced-x86';

const NAMES = new Map<number, string>();

/** Lower-case name of the full register that contains the given one: `al` → `rax` (64 bit) or `eax` (32 bit). */
export const registerName = (register: Register, bits: 32 | 64): string => {
  const key = register * 2 + (bits === 64 ? 1 : 0);
  const known = NAMES.get(key);
  if (known !== undefined) return known;
  const full = bits === 64 ? RegisterExt.fullRegister(register) : RegisterExt.fullRegister32(register);
  const name = (Register[full] ?? 'none').toLowerCase();
  NAMES.set(key, name);
  return name;
};

/** General registers by their numbers in instructions. */
export const GENERAL_REGISTERS: Readonly<Record<32 | 64, readonly string[]>> = {
  32: 'eax ecx edx ebx esp ebp esi edi'.split(' '),
  64: 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' '),
};
