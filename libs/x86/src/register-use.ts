import { Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, type UsedRegister } from 'iced-x86';
import { registerName } from './registers.js';

/** Which full registers (`rax`, in 32-bit code `eax`) an instruction reads and writes, stack pointer included, flags not. */
export interface RegisterUse {
  readonly offset: number;
  readonly length: number;
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

const factory = new InstructionInfoFactory();
const instruction = new Instruction();

const READS = new Set<OpAccess>([OpAccess.Read, OpAccess.CondRead, OpAccess.ReadWrite, OpAccess.ReadCondWrite]);
const WRITES = new Set<OpAccess>([OpAccess.Write, OpAccess.CondWrite, OpAccess.ReadWrite, OpAccess.ReadCondWrite]);

const useOf = (bits: 32 | 64, offset: number): RegisterUse => {
  const reads = new Set<string>();
  const writes = new Set<string>();
  const info = factory.info(instruction);
  for (const used of info.usedRegisters() as UsedRegister[]) {
    const name = registerName(used.register, bits);
    if (READS.has(used.access)) reads.add(name);
    if (WRITES.has(used.access)) writes.add(name);
    used.free();
  }
  info.free();
  return { offset, length: instruction.length, reads: [...reads].sort(), writes: [...writes].sort() };
};

/** Register use of every instruction in `bytes`, in order; bytes that are no instruction use none. */
export const registerUse = (bytes: Uint8Array, bits: 32 | 64): readonly RegisterUse[] => {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const uses: RegisterUse[] = [];
  while (decoder.canDecode) {
    const offset = decoder.position;
    decoder.decodeOut(instruction);
    uses.push(useOf(bits, offset));
  }
  decoder.free();
  return uses;
};
