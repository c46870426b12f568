import type { RawBlock } from '@pvtrail/trace';
import { Mnemonic } from 'iced-x86';
import type { Insn } from './decode.js';
import { ACCESS, OPERATION, REGION, SITE_TABLE } from './state-layout.js';

/** Flags at a site: in the state area already, in locals of a kind known only at run time, or of this `flagKind`. */
export const FLAGS_IN_MEMORY = -1;
export const FLAGS_DYNAMIC = -2;

/** A place in generated code that can leave or call a helper: all that JavaScript must know about it. */
export interface Site {
  readonly block: RawBlock;
  readonly instruction: Insn;
  readonly user: boolean;
  readonly flagKind: number;
  /** The first access that needs the check, relative to the checked range's first byte. */
  readonly firstOffset: number;
  readonly firstBytes: number;
  readonly firstWrites: boolean;
  /** Bytes of the range that one check covers. */
  readonly rangeBytes: number;
  /** Some access of the range writes. */
  readonly rangeWrites: boolean;
  /** Index of the reference slot that the (first) access fills. */
  readonly slot: number;
}

const operationOf = (insn: Insn): number => {
  const { mnemonic, operands } = insn;
  const [to] = operands;
  if (insn.bits === 32) {
    const of32 = operationOf32(insn);
    if (of32 !== undefined) return of32;
  }
  switch (mnemonic) {
    case Mnemonic.Iretq:
      return OPERATION.iretq;
    case Mnemonic.Mov:
      return to?.kind === 'control' && to.register === 3 ? OPERATION.movCr3 : OPERATION.none;
    case Mnemonic.Invlpg:
      return OPERATION.invlpg;
    case Mnemonic.Rdtsc:
      return OPERATION.rdtsc;
    default:
      return OPERATION.none;
  }
};

/** What only 32-bit code leaves to assembly/. */
const operationOf32 = ({ mnemonic }: Insn): number | undefined => {
  if (mnemonic === Mnemonic.Iretd) return OPERATION.iretd;
  return mnemonic === Mnemonic.Int ? OPERATION.int : undefined;
};

/** The general register or the vector that assembly/ needs. */
const operandOf = ({ mnemonic, operands: [first, second] }: Insn): number => {
  if (mnemonic === Mnemonic.Int && first?.kind === 'immediate') return Number(BigInt.asUintN(8, first.value));
  return second?.kind === 'register' ? second.register : 0;
};

/** All sites of generated code, by index; a row for each in the machine's memory (SITE_TABLE) tells assembly/ what it needs. */
export class SiteTable {
  readonly #sites: (Site | undefined)[] = [];
  readonly #view: DataView;

  constructor(memory: WebAssembly.Memory) {
    this.#view = new DataView(memory.buffer);
  }

  get length(): number {
    return this.#sites.length;
  }

  get(index: number): Site | undefined {
    return this.#sites[index];
  }

  /** Index of the new site. @throws RangeError when the table is full */
  add(site: Site): number {
    const index = this.#sites.push(site) - 1;
    if (index >= SITE_TABLE.entries) throw new RangeError(`more than ${SITE_TABLE.entries} sites of generated code`);
    this.#write(REGION.sites + index * SITE_TABLE.entryBytes, site);
    return index;
  }

  #write(
    at: number,
    { block, instruction, user, flagKind, firstOffset, firstWrites, rangeBytes, rangeWrites }: Site,
  ): void {
    const view = this.#view;
    view.setBigInt64(at + SITE_TABLE.rip, BigInt(instruction.address), true);
    view.setInt32(at + SITE_TABLE.flagKind, flagKind, true);
    view.setUint16(at + SITE_TABLE.slotsBefore, instruction.slotsBefore, true);
    view.setUint16(at + SITE_TABLE.slots, block.slots, true);
    view.setUint8(at + SITE_TABLE.index, instruction.index);
    view.setUint8(at + SITE_TABLE.instructions, block.instructions);
    view.setUint8(at + SITE_TABLE.length, instruction.next - instruction.address);
    view.setUint8(at + SITE_TABLE.user, user ? 1 : 0);
    view.setUint16(at + SITE_TABLE.rangeBytes, rangeBytes, true);
    view.setUint8(
      at + SITE_TABLE.access,
      (firstWrites ? ACCESS.firstWrites : 0) | (rangeWrites ? ACCESS.rangeWrites : 0),
    );
    view.setUint8(at + SITE_TABLE.operation, operationOf(instruction));
    view.setUint8(at + SITE_TABLE.operand, operandOf(instruction));
    view.setInt16(at + SITE_TABLE.firstOffset, firstOffset, true);
  }

  /** Forgets all sites: no code refers to any. */
  clear(): void {
    this.#sites.length = 0;
  }
}
