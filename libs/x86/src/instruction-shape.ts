import { CodeSize, type Instruction, Mnemonic, OpKind, Register } from 'iced-x86';
import { registerName } from './registers.js';
import { type SystemClass, systemClassOf } from './system-class.js';

/**
 * How an instruction uses the stack, for the accounting of saves (definitions §4): the implicit forms, and moves whose memory
 * operand is addressed by the stack pointer. A call's or return's own slot is none of these.
 */
export type StackUse = 'push' | 'pop' | 'push-flags' | 'pop-flags' | 'store' | 'load' | 'update';

export interface InstructionShape {
  /** From the first byte of the block. */
  readonly offset: number;
  readonly length: number;
  /** Lower-case Intel mnemonic: `mov`, `iretq`. */
  readonly mnemonic: string;
  readonly nop: boolean;
  readonly stackUse: StackUse | undefined;
  /** The register that a push, pop or stack move saves or restores (full width: `rbx`), when it is one. */
  readonly stackRegister: string | undefined;
  /** What the cost model charges apart (definitions §4), or undefined for an ordinary instruction. */
  readonly systemClass: SystemClass | undefined;
}

const MNEMONIC_NAMES = new Map<Mnemonic, string>();

const mnemonicName = (mnemonic: Mnemonic): string => {
  const known = MNEMONIC_NAMES.get(mnemonic);
  if (known !== undefined) return known;
  const name = mnemonic === Mnemonic.INVALID ? '(bad)' : (Mnemonic[mnemonic] ?? '(bad)').toLowerCase();
  MNEMONIC_NAMES.set(mnemonic, name);
  return name;
};

const isFullWidthRegister = (register: Register, bits64: boolean): boolean =>
  bits64 ? register >= Register.RAX && register <= Register.R15 : register >= Register.EAX && register <= Register.EDI;

/** `mov %esi,%esi` in 32-bit code; in 64-bit code a 32-bit copy clears the upper half and so is no nop. */
const isSelfMove = (instruction: Instruction, bits64: boolean): boolean =>
  instruction.mnemonic === Mnemonic.Mov &&
  instruction.op0Kind === OpKind.Register &&
  instruction.op1Kind === OpKind.Register &&
  instruction.op0Register === instruction.op1Register &&
  isFullWidthRegister(instruction.op0Register, bits64);

/** `lea 0(%esi),%esi` and `lea 0(%esi,%eiz,1),%esi`. */
const isSelfLea = (instruction: Instruction, bits64: boolean): boolean =>
  instruction.mnemonic === Mnemonic.Lea &&
  instruction.memoryBase === instruction.op0Register &&
  instruction.memoryIndex === Register.None &&
  instruction.memoryDisplacement === 0n &&
  isFullWidthRegister(instruction.op0Register, bits64);

const isNopInstruction = (instruction: Instruction): boolean => {
  if (instruction.mnemonic === Mnemonic.Nop) return true;
  const bits64 = instruction.codeSize === CodeSize.Code64;
  return isSelfMove(instruction, bits64) || isSelfLea(instruction, bits64);
};

const IMPLICIT_STACK_USE = new Map<Mnemonic, StackUse>([
  [Mnemonic.Push, 'push'],
  [Mnemonic.Pusha, 'push'],
  [Mnemonic.Pushad, 'push'],
  [Mnemonic.Pop, 'pop'],
  [Mnemonic.Popa, 'pop'],
  [Mnemonic.Popad, 'pop'],
  [Mnemonic.Pushf, 'push-flags'],
  [Mnemonic.Pushfd, 'push-flags'],
  [Mnemonic.Pushfq, 'push-flags'],
  [Mnemonic.Popf, 'pop-flags'],
  [Mnemonic.Popfd, 'pop-flags'],
  [Mnemonic.Popfq, 'pop-flags'],
]);

const hasStackOperand = (instruction: Instruction): boolean =>
  (instruction.memoryBase === Register.RSP || instruction.memoryBase === Register.ESP) &&
  instruction.mnemonic !== Mnemonic.Lea &&
  instruction.mnemonic !== Mnemonic.Nop;

const READ_ONLY = new Set<Mnemonic>([Mnemonic.Cmp, Mnemonic.Test, Mnemonic.Bt, Mnemonic.Call, Mnemonic.Jmp]);
const STORE_ONLY = new Set<Mnemonic>([Mnemonic.Mov, Mnemonic.Movnti, Mnemonic.Movbe]);

const SETS = new Set<Mnemonic>(
  'Seta Setae Setb Setbe Sete Setg Setge Setl Setle Setne Setno Setnp Setns Seto Setp Sets'
    .split(' ')
    .map((name) => Mnemonic[name as keyof typeof Mnemonic]),
);

const stackMemoryUse = (instruction: Instruction): StackUse | undefined => {
  if (!hasStackOperand(instruction)) return undefined;
  if (instruction.op0Kind !== OpKind.Memory || READ_ONLY.has(instruction.mnemonic)) return 'load';
  return STORE_ONLY.has(instruction.mnemonic) || SETS.has(instruction.mnemonic) ? 'store' : 'update';
};

const stackRegisterOf = (instruction: Instruction, use: StackUse | undefined): string | undefined => {
  if (use === undefined || instruction.opCount === 0) return undefined;
  const operand = instruction.op0Kind === OpKind.Register ? instruction.op0Register : registerOfSecond(instruction);
  return operand === Register.None
    ? undefined
    : registerName(operand, instruction.codeSize === CodeSize.Code64 ? 64 : 32);
};

const registerOfSecond = (instruction: Instruction): Register =>
  instruction.opCount > 1 && instruction.op1Kind === OpKind.Register ? instruction.op1Register : Register.None;

/** Everything about one decoded instruction that does not depend on its neighbours. */
export const shapeOf = (instruction: Instruction, offset: number): InstructionShape => {
  const stackUse = IMPLICIT_STACK_USE.get(instruction.mnemonic) ?? stackMemoryUse(instruction);
  return {
    offset,
    length: instruction.length,
    mnemonic: mnemonicName(instruction.mnemonic),
    nop: isNopInstruction(instruction),
    stackUse,
    stackRegister: stackRegisterOf(instruction, stackUse),
    systemClass: systemClassOf(instruction),
  };
};
