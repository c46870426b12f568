/** Operand and address width in bits. */
export type Width = 8 | 16 | 32 | 64;
export type Bits = 32 | 64;
export type AddressWidth = 32 | 64;

/** A memory operand as it is encoded; registers by number, rip-relative and absolute forms by the address they mean. */
export interface MemoryOperand {
  readonly kind: 'mem';
  readonly base?: number;
  readonly index?: number;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly displacement: number;
  /** How the displacement is encoded; 'rip' takes `displacement` as the address meant, 'absolute' is its place in 32-bit code. */
  readonly encoding: 'none' | 'disp8' | 'disp32' | 'rip' | 'absolute';
  readonly addressWidth: AddressWidth;
  readonly gs?: boolean;
}

/** A register operand; `high` is ah, ch, dh or bh (number 0 … 3 of the low half's register). */
export interface RegisterOperand {
  readonly kind: 'reg';
  readonly number: number;
  readonly high?: boolean;
}

export type Operand = MemoryOperand | RegisterOperand;

/** What an encoding needs besides its operands. */
export interface Encoding {
  /** The mode that the code is for; 64 when absent. */
  readonly bits?: Bits;
  readonly opcode: readonly number[];
  readonly width: Width;
  /** rep, repe, repne or a mandatory prefix. */
  readonly mandatoryPrefix?: number;
  readonly lock?: boolean;
  /** REX.W is not wanted although the width is 64 (push, pop, near branches). */
  readonly default64?: boolean;
  /** The address width without a ModRM operand (string instructions, moffs). */
  readonly addressWidth?: AddressWidth;
  readonly gs?: boolean;
  readonly immediate?: { readonly value: bigint; readonly bytes: number };
}

/** Bytes of one instruction and where an address must be filled in once it has a place. */
export interface Encoded {
  readonly bytes: number[];
  /** Offset of a rip-relative 32-bit field whose target is `target`. */
  readonly rip?: { readonly at: number; readonly target: number };
}

const RSP = 4;
const RBP = 5;

const littleEndian = (value: bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));

const disp = (value: number, bytes: number): number[] => littleEndian(BigInt(value), bytes);

const scaleBits = (scale: number): number => ({ 1: 0, 2: 1, 4: 2, 8: 3 })[scale] ?? 0;

interface ModRm {
  readonly bytes: number[];
  readonly ripAt?: number;
}

/** ModRM, SIB and displacement (Intel SDM vol. 2, 2.1.5 and 2.2.1.2). */
function modRm(reg: number, operand: Operand): ModRm {
  const regBits = (reg & 7) << 3;
  if (operand.kind === 'reg') return { bytes: [0xc0 | regBits | ((operand.number + (operand.high ? 4 : 0)) & 7)] };
  const { base, index, displacement } = operand;
  if (operand.encoding === 'rip') return { bytes: [0x05 | regBits, 0, 0, 0, 0], ripAt: 1 };
  if (operand.encoding === 'absolute') return { bytes: [0x05 | regBits, ...disp(displacement, 4)] };
  const sibScale = scaleBits(operand.scale ?? 1) << 6;
  if (base === undefined) {
    const indexBits = index === undefined ? 0x20 : (index & 7) << 3;
    return { bytes: [0x04 | regBits, sibScale | indexBits | 5, ...disp(displacement, 4)] };
  }
  const encoding = operand.encoding === 'none' && (base & 7) === RBP ? 'disp8' : operand.encoding;
  const mod = { none: 0, disp8: 0x40, disp32: 0x80 }[encoding];
  const tail = encoding === 'none' ? [] : disp(displacement, encoding === 'disp8' ? 1 : 4);
  if (index === undefined && (base & 7) !== RSP) return { bytes: [mod | regBits | (base & 7), ...tail] };
  const indexBits = index === undefined ? 0x20 : (index & 7) << 3;
  return { bytes: [mod | regBits | 4, sibScale | indexBits | (base & 7), ...tail] };
}

function rexOf(width: Width, default64: boolean, reg: RegisterOperand | undefined, rm: Operand | undefined): number {
  let rex = width === 64 && !default64 ? 0x48 : 0;
  if (reg && reg.number > 7) rex |= 0x44;
  if (rm?.kind === 'reg' && rm.number > 7) rex |= 0x41;
  if (rm?.kind === 'mem' && (rm.base ?? 0) > 7) rex |= 0x41;
  if (rm?.kind === 'mem' && (rm.index ?? 0) > 7) rex |= 0x42;
  return rex;
}

function rexAllowed(rex: number, encoding: Encoding): number {
  if (encoding.bits === 32) throw new Error('32-bit code has no REX prefix');
  return rex;
}

const needsRexFor8 = (operand: Operand | undefined): boolean =>
  operand?.kind === 'reg' && !operand.high && operand.number >= 4 && operand.number < 8;

/**
 * The bytes of one instruction: legacy prefixes, REX, opcode, ModRM, displacement, immediate.
 * `byteOperands` names the operands that are 8 bits wide, so that spl … dil get a REX and ah … bh none.
 */
export function encode(
  encoding: Encoding,
  reg?: RegisterOperand,
  rm?: Operand,
  byteOperands: readonly (Operand | undefined)[] = encoding.width === 8 ? [reg, rm] : [],
): Encoded {
  const prefixes: number[] = [];
  if (encoding.lock) prefixes.push(0xf0);
  if (encoding.gs || (rm?.kind === 'mem' && rm.gs)) prefixes.push(0x65);
  const addressWidth = rm?.kind === 'mem' ? rm.addressWidth : encoding.addressWidth;
  if (addressWidth === 32 && encoding.bits !== 32) prefixes.push(0x67);
  if (encoding.width === 16) prefixes.push(0x66);
  if (encoding.mandatoryPrefix !== undefined) prefixes.push(encoding.mandatoryPrefix);
  let rex = rexOf(encoding.width, encoding.default64 ?? false, reg, rm);
  if (byteOperands.some(needsRexFor8)) rex |= 0x40;
  if (rex !== 0) prefixes.push(rexAllowed(rex, encoding));
  const head = [...prefixes, ...encoding.opcode];
  const tail = encoding.immediate ? littleEndian(encoding.immediate.value, encoding.immediate.bytes) : [];
  if (!rm) return { bytes: [...head, ...tail] };
  const regNumber = reg ? reg.number + (reg.high ? 4 : 0) : 0;
  const operand = modRm(regNumber, rm);
  const bytes = [...head, ...operand.bytes, ...tail];
  if (rm.kind === 'mem' && operand.ripAt !== undefined)
    return { bytes, rip: { at: head.length + operand.ripAt, target: rm.displacement } };
  return { bytes };
}

/** An instruction whose register is in the low three bits of its opcode. */
export function encodeOpcodeRegister(encoding: Encoding, register: RegisterOperand): Encoded {
  const last = encoding.opcode.length - 1;
  const low = (register.number + (register.high ? 4 : 0)) & 7;
  const opcode = encoding.opcode.map((byte, i) => (i === last ? byte + low : byte));
  const wide = register.number > 7 ? 0x41 : 0;
  const rex = (encoding.width === 64 && !encoding.default64 ? 0x48 : 0) | wide;
  const needed = rex | (encoding.width === 8 && needsRexFor8(register) ? 0x40 : 0);
  const prefixes = encoding.width === 16 ? [0x66] : [];
  if (needed !== 0) prefixes.push(rexAllowed(needed, encoding));
  const tail = encoding.immediate ? littleEndian(encoding.immediate.value, encoding.immediate.bytes) : [];
  return { bytes: [...prefixes, ...opcode, ...tail] };
}
