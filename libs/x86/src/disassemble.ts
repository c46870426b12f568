import { toHex } from '@pvtrail/primitives';
import { Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } from 'iced-x86';
import { type InstructionShape, shapeOf } from './instruction-shape.js';

export interface DisassembledLine {
  readonly virt: bigint;
  readonly length: number;
  /** Lower-case hex without separators. */
  readonly bytes: string;
  /** AT&T syntax, as the kernel's own sources write it. */
  readonly text: string;
}

const instruction = new Instruction();
const formatter = new Formatter(FormatterSyntax.Gas);
formatter.uppercaseHex = false;

function* decodeAll(bytes: Uint8Array, virt: bigint, bits: 32 | 64): Generator<number> {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  decoder.ip = virt;
  try {
    while (decoder.canDecode) {
      const offset = decoder.position;
      decoder.decodeOut(instruction);
      yield offset;
    }
  } finally {
    decoder.free();
  }
}

/** Every instruction in `bytes`, for listings and failure messages; `(bad)` where there is none. */
export const disassemble = (bytes: Uint8Array, virt: bigint, bits: 32 | 64): readonly DisassembledLine[] =>
  Array.from(decodeAll(bytes, virt, bits), (offset) => ({
    virt: virt + BigInt(offset),
    length: instruction.length,
    bytes: toHex(bytes.subarray(offset, offset + instruction.length)),
    text: formatter.format(instruction),
  }));

/** The shapes of all instructions in `bytes`, without regard to block boundaries: for patched sites and thunks. */
export const describeInstructions = (bytes: Uint8Array, virt: bigint, bits: 32 | 64): readonly InstructionShape[] =>
  Array.from(decodeAll(bytes, virt, bits), (offset) => shapeOf(instruction, offset));

/** Whether the bytes are nothing but nops (at least one): the tables of `domain.md` §3.5, and `lea 0(%esi),%esi` and `mov %esi,%esi`. */
export const isNop = (bytes: Uint8Array, bits: 32 | 64): boolean => {
  const shapes = describeInstructions(bytes, 0n, bits);
  return shapes.length > 0 && shapes.every((shape) => shape.nop);
};
