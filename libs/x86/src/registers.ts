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
