import type { Bits } from '@pvtrail/pvops';
import iced from 'iced-x86';

/**
 * An instruction that moves something to or from the stack: push and pop in all forms, and any instruction with an operand in
 * memory addressed by the stack pointer, or by RBP or EBP where the function uses it as frame pointer. `call`, `ret`, `iret` and `lea` are none.
 */
export interface StackInstruction {
  readonly address: bigint;
  readonly length: number;
  readonly form: 'push' | 'pop' | 'push-flags' | 'pop-flags' | 'move' | 'read-modify-write';
  /** What it does to the stack; a push reads nothing from it, unless it pushes an operand on the stack. */
  readonly stackOperand: 'read' | 'write' | 'read-write';
  /** The register that is stored or loaded; `memory` or `constant` when it is none. */
  readonly register: string;
  /** Address of the stack operand: base register before the instruction + displacement. */
  readonly base: 'sp' | 'bp';
  readonly displacement: number;
  /** The instruction right before it, in address order. */
  readonly previous: string;
  readonly next: string;
  readonly mnemonic: string;
}

const {
  Decoder,
  DecoderOptions,
  Instruction,
  InstructionInfoFactory,
  Mnemonic,
  OpAccess,
  OpKind,
  Register,
  RegisterExt,
} = iced;

const PUSHES = new Set([Mnemonic.Push, Mnemonic.Pushf, Mnemonic.Pushfd, Mnemonic.Pushfq]);
const POPS = new Set([Mnemonic.Pop, Mnemonic.Popf, Mnemonic.Popfd, Mnemonic.Popfq, Mnemonic.Leave]);
const FLAG_FORMS = new Set([
  Mnemonic.Pushf,
  Mnemonic.Pushfd,
  Mnemonic.Pushfq,
  Mnemonic.Popf,
  Mnemonic.Popfd,
  Mnemonic.Popfq,
]);
const STACK_POINTERS = new Set([Register.RSP, Register.ESP]);
const BASE_POINTERS = new Set([Register.RBP, Register.EBP]);
const WITHOUT_ACCESS = new Set([Mnemonic.Lea, Mnemonic.Nop]);

/** Decodes a function's code and returns its stack instructions in address order. Errors of decoding are the caller's concern. */
export const decodeStackInstructions = (bits: Bits, code: Uint8Array, address: bigint): StackInstruction[] => {
  const decoder = new Decoder(bits, code, DecoderOptions.None);
  decoder.ip = address;
  const factory = new InstructionInfoFactory();
  const instruction = new Instruction();
  const mnemonics: string[] = [];
  const found: { at: number; value: Omit<StackInstruction, 'previous' | 'next'> }[] = [];
  let framePointer = false;
  while (decoder.canDecode) {
    decoder.decodeOut(instruction);
    if (setsFramePointer(instruction)) framePointer = true;
    const value = stackInstruction(bits, instruction, factory, framePointer);
    if (value) found.push({ at: mnemonics.length, value });
    mnemonics.push(Mnemonic[instruction.mnemonic]?.toLowerCase() ?? '');
  }
  instruction.free();
  factory.free();
  decoder.free();
  return found.map(({ at, value }) => ({ ...value, previous: mnemonics[at - 1] ?? '', next: mnemonics[at + 1] ?? '' }));
};

const setsFramePointer = (instruction: iced.Instruction): boolean =>
  instruction.mnemonic === Mnemonic.Mov &&
  BASE_POINTERS.has(instruction.op0Register) &&
  STACK_POINTERS.has(instruction.op1Register);

const stackInstruction = (
  bits: Bits,
  instruction: iced.Instruction,
  factory: iced.InstructionInfoFactory,
  framePointer: boolean,
): Omit<StackInstruction, 'previous' | 'next'> | undefined => {
  const mnemonic = instruction.mnemonic;
  const common = {
    address: instruction.ip,
    length: instruction.length,
    mnemonic: Mnemonic[mnemonic]?.toLowerCase() ?? '',
    register: registerOperand(bits, instruction),
  };
  if (PUSHES.has(mnemonic)) {
    const form = FLAG_FORMS.has(mnemonic) ? 'push-flags' : 'push';
    return { ...common, form, stackOperand: 'write', base: 'sp', displacement: -bits / 8 };
  }
  if (POPS.has(mnemonic)) {
    const leave = mnemonic === Mnemonic.Leave;
    const form = FLAG_FORMS.has(mnemonic) ? 'pop-flags' : 'pop';
    return {
      ...common,
      register: leave ? (bits === 64 ? 'rbp' : 'ebp') : common.register,
      form,
      stackOperand: 'read',
      base: leave ? 'bp' : 'sp',
      displacement: 0,
    };
  }
  const operand = memoryOperand(instruction);
  const base = stackBase(instruction, framePointer);
  if (operand === undefined || base === undefined || WITHOUT_ACCESS.has(mnemonic)) return undefined;
  const stackOperand = accessOf(instruction, factory, operand);
  const form = mnemonic === Mnemonic.Mov ? 'move' : stackOperand === 'read' ? 'move' : 'read-modify-write';
  return {
    ...common,
    form,
    stackOperand,
    base,
    displacement: Number(BigInt.asIntN(bits, instruction.memoryDisplacement)),
  };
};

const memoryOperand = (instruction: iced.Instruction): number | undefined => {
  for (let index = 0; index < instruction.opCount; index++) {
    if (instruction.opKind(index) === OpKind.Memory) return index;
  }
  return undefined;
};

const stackBase = (instruction: iced.Instruction, framePointer: boolean): 'sp' | 'bp' | undefined => {
  if (STACK_POINTERS.has(instruction.memoryBase)) return 'sp';
  return framePointer && BASE_POINTERS.has(instruction.memoryBase) ? 'bp' : undefined;
};

const accessOf = (
  instruction: iced.Instruction,
  factory: iced.InstructionInfoFactory,
  operand: number,
): StackInstruction['stackOperand'] => {
  const info = factory.info(instruction);
  const access = info.opAccess(operand);
  info.free();
  if (access === OpAccess.Write || access === OpAccess.CondWrite) return 'write';
  return access === OpAccess.Read || access === OpAccess.CondRead ? 'read' : 'read-write';
};

/** The instruction's register operand by the name of its full width. */
const registerOperand = (bits: Bits, instruction: iced.Instruction): string => {
  const fullRegister = bits === 64 ? RegisterExt.fullRegister : RegisterExt.fullRegister32;
  let other = 'memory';
  for (let index = 0; index < instruction.opCount; index++) {
    const kind = instruction.opKind(index);
    if (kind === OpKind.Register) return Register[fullRegister(instruction.opRegister(index))]?.toLowerCase() ?? '';
    if (kind !== OpKind.Memory) other = 'constant';
  }
  return other;
};
