import { type BlockShape, describeBlock } from '@pvtrail/x86';
import {
  Code,
  Decoder,
  DecoderOptions,
  Instruction,
  InstructionInfoFactory,
  InstructionInfoOptions,
  type Mnemonic,
  OpAccess,
  OpKind,
  Register,
  RegisterExt,
} from 'iced-x86';

export type Width = 8 | 16 | 32 | 64;
export type Bits = 32 | 64;

export type Operand =
  | { readonly kind: 'register'; readonly register: number; readonly width: Width; readonly high: boolean }
  /** Selector registers: 0 es, 1 cs, 2 ss, 3 ds, 4 fs, 5 gs. */
  | { readonly kind: 'segment'; readonly register: number }
  | { readonly kind: 'control'; readonly register: number }
  | { readonly kind: 'debug'; readonly register: number }
  | { readonly kind: 'other' }
  | { readonly kind: 'immediate'; readonly value: bigint }
  | { readonly kind: 'memory'; readonly width: Width }
  | { readonly kind: 'target'; readonly address: number }
  /** A far pointer held in the instruction: only 32-bit code has it. */
  | { readonly kind: 'far'; readonly selector: number; readonly offset: number };

/** The base of a string instruction's operand: si or di, as the instruction defines. */
export const STRING_BASE = -2;

export interface MemoryOperand {
  /** General register, -1, or STRING_BASE. */
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  /** Sign-extended; of a rip-relative operand and of one without registers the whole address. */
  readonly displacement: bigint;
  /** Selector register whose base is added when it may differ from 0, or -1. */
  readonly segment: number;
  readonly addressBits: 16 | 32 | 64;
}

/** One decoded instruction, with what lifting needs and nothing of iced's. */
export interface Insn {
  /** Signed canonical address: exact in a double. */
  readonly address: number;
  readonly next: number;
  readonly index: number;
  readonly mnemonic: Mnemonic;
  readonly operands: readonly Operand[];
  readonly memory: MemoryOperand | undefined;
  /** Width of the memory operand in bytes; 0 without one or when it is no single datum. */
  readonly memoryBytes: number;
  readonly rep: boolean;
  readonly repne: boolean;
  /** Bits of the counter of a loop or jcxz: cx, ecx or rcx. */
  readonly addressBits: 16 | 32 | 64;
  /** Bits of the mode that the instruction is decoded for. */
  readonly bits: Bits;
  /** Change of the stack pointer by push, pop, call and ret; 0 for others. */
  readonly stackIncrement: number;
  /** Bit set of general registers that the instruction may write. */
  readonly written: number;
  /** Bit set of general registers that the instruction reads or writes. */
  readonly used: number;
  /** Number of reference slots of the block before this instruction. */
  readonly slotsBefore: number;
}

export interface DecodedBlock {
  /** Signed canonical address. */
  readonly address: number;
  /** Guest-physical address of the first byte. */
  readonly phys: number;
  /** Guest-physical address of the following page when bytes cross into it, else 0. */
  readonly physNextPage: number;
  readonly shape: BlockShape;
  readonly instructions: readonly Insn[];
  readonly bytes: Uint8Array;
  /** Address after the last byte. */
  readonly next: number;
  /** The direct target of the last instruction. */
  readonly target: number | undefined;
}

const WIDTH_OF_SIZE: Readonly<Record<number, Width>> = { 1: 8, 2: 16, 4: 32, 8: 64 };

const generalOperand = (register: Register): Operand | undefined => {
  if (register >= Register.AL && register <= Register.R15L) {
    const order = register - Register.AL;
    const high = order >= 4 && order < 8;
    return { kind: 'register', register: order < 4 ? order : order - 4, width: 8, high };
  }
  if (register < Register.AX || register > Register.R15) return undefined;
  const width = WIDTH_OF_SIZE[RegisterExt.size(register)] ?? 64;
  return { kind: 'register', register: RegisterExt.number(register), width, high: false };
};

const REGISTER_OPERANDS = new Map<Register, Operand>();

const registerOperand = (register: Register): Operand => {
  const known = REGISTER_OPERANDS.get(register);
  if (known !== undefined) return known;
  const made = makeRegisterOperand(register);
  REGISTER_OPERANDS.set(register, made);
  return made;
};

const makeRegisterOperand = (register: Register): Operand => {
  const general = generalOperand(register);
  if (general !== undefined) return general;
  if (register >= Register.ES && register <= Register.GS) return { kind: 'segment', register: register - Register.ES };
  if (register >= Register.CR0 && register <= Register.CR15) {
    return { kind: 'control', register: register - Register.CR0 };
  }
  if (register >= Register.DR0 && register <= Register.DR15)
    return { kind: 'debug', register: register - Register.DR0 };
  return { kind: 'other' };
};

const addressRegister = (register: Register): number => {
  if (register === Register.None || register === Register.RIP || register === Register.EIP) return -1;
  return RegisterExt.number(register);
};

/** Signed canonical form of an address; exact for every address that can be fetched from. In 32-bit code it is never negative. */
const signedAddress = (address: bigint): number => Number(BigInt.asIntN(64, address));
const unsignedAddress = (address: number): bigint => BigInt.asUintN(64, BigInt(address));

/** Where the address of the byte behind an instruction lies: in 32-bit code it wraps at 4 GiB. */
export const wrapped = (address: number, bits: Bits): number => (bits === 32 ? address >>> 0 : address);

/** es, cs, ss, ds: 0 in 64-bit mode; in 32-bit mode the machine refuses to load any that is not flat. */
const FLAT_SEGMENTS = new Set<number>([0, 1, 2, 3]);

const segmentOf = (instruction: Instruction): number => {
  const segment = instruction.memorySegment - Register.ES;
  return FLAT_SEGMENTS.has(segment) ? -1 : segment;
};

const STRING_KINDS = new Set<OpKind>([
  OpKind.MemorySegSI,
  OpKind.MemorySegESI,
  OpKind.MemorySegRSI,
  OpKind.MemorySegDI,
  OpKind.MemorySegEDI,
  OpKind.MemorySegRDI,
  OpKind.MemoryESDI,
  OpKind.MemoryESEDI,
  OpKind.MemoryESRDI,
]);

/** Bits of the address of a string instruction's implicit operand. */
const stringAddressBits = (kind: OpKind): 16 | 32 | 64 => {
  if (kind === OpKind.MemorySegSI || kind === OpKind.MemoryESDI || kind === OpKind.MemorySegDI) return 16;
  if (kind === OpKind.MemorySegESI || kind === OpKind.MemoryESEDI || kind === OpKind.MemorySegEDI) return 32;
  return 64;
};

const addressBitsOf = (instruction: Instruction, bits: Bits): 16 | 32 | 64 => {
  const register = instruction.memoryBase !== Register.None ? instruction.memoryBase : instruction.memoryIndex;
  if (register === Register.None) {
    const size = instruction.memoryDisplSize;
    if (size === 2) return 16;
    return bits === 32 || size === 4 ? 32 : 64;
  }
  if (register === Register.EIP) return 32;
  if (register === Register.RIP) return 64;
  const size = RegisterExt.size(register);
  return size === 2 ? 16 : size === 4 ? 32 : 64;
};

const memoryOperand = (instruction: Instruction, bits: Bits): MemoryOperand | undefined => {
  let found = false;
  for (let operand = 0; operand < instruction.opCount; operand += 1) {
    const kind = instruction.opKind(operand);
    if (STRING_KINDS.has(kind)) {
      const addressBits = stringAddressBits(kind);
      const segment = segmentOf(instruction);
      return { base: STRING_BASE, index: -1, scale: 1, displacement: 0n, segment, addressBits };
    }
    if (kind === OpKind.Memory) found = true;
  }
  if (!found) return undefined;
  const base = addressRegister(instruction.memoryBase);
  const index = addressRegister(instruction.memoryIndex);
  const whole = bits === 64 || (base < 0 && index < 0);
  return {
    base,
    index,
    scale: instruction.memoryIndexScale,
    displacement: BigInt.asIntN(whole ? 64 : 32, instruction.memoryDisplacement),
    segment: segmentOf(instruction),
    addressBits: addressBitsOf(instruction, bits),
  };
};

const operandOf = (instruction: Instruction, operand: number, memoryWidth: Width): Operand => {
  const kind = instruction.opKind(operand);
  switch (kind) {
    case OpKind.Register:
      return registerOperand(instruction.opRegister(operand));
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return { kind: 'target', address: signedAddress(instruction.nearBranchTarget) };
    case OpKind.FarBranch16:
      return { kind: 'other' };
    case OpKind.FarBranch32:
      return { kind: 'far', selector: instruction.farBranchSelector, offset: instruction.farBranch32 >>> 0 };
    default:
      break;
  }
  if (kind === OpKind.Memory || STRING_KINDS.has(kind)) return { kind: 'memory', width: memoryWidth };
  return { kind: 'immediate', value: BigInt.asIntN(64, instruction.immediate(operand)) };
};

const infoFactory = new InstructionInfoFactory();

const isWrite = (access: OpAccess): boolean =>
  access === OpAccess.Write ||
  access === OpAccess.CondWrite ||
  access === OpAccess.ReadWrite ||
  access === OpAccess.ReadCondWrite;

const usedRegisters = (instruction: Instruction): { written: number; used: number } => {
  const info = infoFactory.infoOptions(instruction, InstructionInfoOptions.NoMemoryUsage);
  let written = 0;
  let used = 0;
  for (const entry of info.usedRegisters()) {
    const operand = registerOperand(entry.register);
    if (operand.kind === 'register') {
      used |= 1 << operand.register;
      if (isWrite(entry.access)) written |= 1 << operand.register;
    }
    entry.free();
  }
  info.free();
  return { written, used };
};

const COUNTED_IN_ECX = new Set<Code>([Code.Loop_rel8_64_ECX, Code.Loope_rel8_64_ECX, Code.Loopne_rel8_64_ECX]);
const COUNTED_IN_CX = new Set<Code>([
  Code.Loop_rel8_32_CX,
  Code.Loope_rel8_32_CX,
  Code.Loopne_rel8_32_CX,
  Code.Jcxz_rel8_32,
]);

const counterBits = (code: Code, bits: Bits): 16 | 32 | 64 => {
  if (COUNTED_IN_CX.has(code)) return 16;
  return COUNTED_IN_ECX.has(code) ? 32 : bits;
};

// iced objects live in wasm memory and are never collected, so one is reused.
const instruction = new Instruction();

const decodeOne = (decoder: Decoder, index: number, bits: Bits, slotsBefore: number, memoryBytes: number): Insn => {
  decoder.decodeOut(instruction);
  const memoryWidth = WIDTH_OF_SIZE[memoryBytes] ?? 64;
  const operands: Operand[] = [];
  for (let operand = 0; operand < instruction.opCount; operand += 1) {
    operands.push(operandOf(instruction, operand, memoryWidth));
  }
  const address = signedAddress(instruction.ip);
  return {
    address,
    next: wrapped(address + instruction.length, bits),
    index,
    mnemonic: instruction.mnemonic,
    operands,
    memory: memoryOperand(instruction, bits),
    memoryBytes,
    addressBits: counterBits(instruction.code, bits),
    bits,
    rep: instruction.hasRepPrefix,
    repne: instruction.hasRepnePrefix,
    stackIncrement: instruction.stackPointerIncrement,
    ...usedRegisters(instruction),
    slotsBefore,
  };
};

/** Where a block's bytes come from: the rest of its first page, then of the following one if that is mapped. */
export interface CodeWindow {
  readonly bytes: Uint8Array;
  readonly phys: number;
  /** Guest-physical address of the following page, 0 when it is not mapped. */
  readonly nextPagePhys: number;
  readonly bytesInFirstPage: number;
}

const explicitWidth = (shape: BlockShape, index: number): number =>
  shape.slots.find((slot) => slot.instruction === index && !slot.stack)?.widthBytes ?? 0;

/** Decodes the block at an address; undefined when not even its first instruction lies in the window. */
export const decodeBlock = (window: CodeWindow, address: number, bits: Bits): DecodedBlock | undefined => {
  const virt = unsignedAddress(address);
  const shape = describeBlock(window.bytes, virt, bits);
  if (shape.instructions.length === 0) return undefined;
  const decoder = new Decoder(bits, window.bytes, DecoderOptions.None);
  const instructions: Insn[] = [];
  try {
    decoder.ip = virt;
    let slotsBefore = 0;
    for (const index of shape.instructions.keys()) {
      instructions.push(decodeOne(decoder, index, bits, slotsBefore, explicitWidth(shape, index)));
      slotsBefore += shape.slots.filter((slot) => slot.instruction === index).length;
    }
  } finally {
    decoder.free();
  }
  const crosses = shape.byteLength > window.bytesInFirstPage;
  return {
    address,
    phys: window.phys,
    physNextPage: crosses ? window.nextPagePhys : 0,
    shape,
    instructions,
    bytes: window.bytes.slice(0, shape.byteLength),
    next: wrapped(address + shape.byteLength, bits),
    target: shape.end.target === undefined ? undefined : signedAddress(shape.end.target),
  };
};
