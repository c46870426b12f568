import { AppError, formatVirt } from '@pvtrail/primitives';
import {
  type Bits,
  bitsOf,
  type CatalogueSite,
  isIrqOp,
  type Paging,
  type PvopName,
  pvopOfType,
  slotCount,
} from '@pvtrail/pvops';
import iced from 'iced-x86';

const { Decoder, DecoderOptions, FlowControl } = iced;

/** Record of 2.6.29 … 4.19 (domain.md §2.3): pointer, u8 type, u8 length, u16 clobbers. */
const RECORDS = {
  32: { usedBytes: 8, strideBytes: 8, typeAt: 4, lengthAt: 5, clobbersAt: 6 },
  64: { usedBytes: 12, strideBytes: 16, typeAt: 8, lengthAt: 9, clobbersAt: 10 },
} as const;

/** Masks of callee-save C sites, which P6 gave to page-table values: RAX, or EAX and EDX (domain.md §2.2). */
const RESULT_ONLY = { 32: 5, 64: 1 } as const;

interface SiteOwner {
  readonly name: string;
  readonly assembly: boolean;
}

/**
 * Reads the patch records of a linked image and what their sites' bytes say.
 * `ownerOf`: the function that an address lies in.
 * @throws AppError `image/corrupt` for an unknown type, or a site that lies in no function or does not hold whole instructions
 */
export const readSites = (
  paging: Paging,
  records: Uint8Array,
  read: (address: bigint, length: number) => Uint8Array,
  ownerOf: (address: bigint) => SiteOwner | undefined,
): CatalogueSite[] => {
  const bits = bitsOf(paging);
  const record = RECORDS[bits];
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const sites: CatalogueSite[] = [];
  for (let at = 0; at + record.usedBytes <= records.length; at += record.strideBytes) {
    const address = bits === 64 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
    const type = view.getUint8(at + record.typeAt);
    const length = view.getUint8(at + record.lengthAt);
    const clobbers = view.getUint16(at + record.clobbersAt, true);
    const op = type < slotCount(paging) ? pvopOfType(type, paging).name : undefined;
    const owner = ownerOf(address);
    if (op === undefined || owner === undefined) {
      throw new AppError(
        'image/corrupt',
        `patch record ${at / record.strideBytes}: ${formatVirt(address)}, type ${type} is no call site`,
      );
    }
    const decoded = decodeSite(bits, read(address, length), address, owner.name);
    const recordType = owner.assembly ? (decoded.jumps ? 'asm-jump' : 'asm-call') : typeOfCSite(op, clobbers, bits);
    sites.push({
      address: formatVirt(address),
      length,
      function: owner.name,
      op,
      type,
      clobbers,
      recordType,
      innerSaves: decoded.innerSaves,
    });
  }
  return sites.sort((a, b) => (a.address < b.address ? -1 : 1));
};

const typeOfCSite = (op: PvopName, clobbers: number, bits: Bits): CatalogueSite['recordType'] => {
  if (isIrqOp(op)) return 'c-irq';
  return clobbers === RESULT_ONLY[bits] ? 'c-callee-save' : 'c';
};

/** Pushes before the call and pops after it are the site's own saves: they go when the site is patched. */
const decodeSite = (
  bits: Bits,
  code: Uint8Array,
  address: bigint,
  owner: string,
): { jumps: boolean; innerSaves: CatalogueSite['innerSaves'] } => {
  const decoder = new Decoder(bits, code, DecoderOptions.None);
  decoder.ip = address;
  const innerSaves: { offset: number; kind: 'save' | 'restore'; register: string }[] = [];
  let jumps = false;
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    if (instruction.isInvalid)
      throw new AppError('image/corrupt', `the call site ${formatVirt(address)} ends inside of an instruction`);
    const kind = saveKind(instruction);
    if (kind) {
      const register = (iced.Register[instruction.op0Register] ?? '').toLowerCase();
      innerSaves.push({ offset: Number(instruction.ip - address), kind, register });
    }
    if (instruction.flowControl === FlowControl.IndirectBranch) jumps = true;
    if (!hasFixedTarget(instruction)) {
      throw new AppError(
        'image/corrupt',
        `the call site ${formatVirt(address)} in ${owner} calls through a register: a slot is named by its address`,
      );
    }
    instruction.free();
  }
  decoder.free();
  return { jumps, innerSaves };
};

/**
 * Sites have one length per form (domain.md §2.1): a transfer of control names its slot relative to RIP or absolutely. With an
 * operand of constraint `m` the compiler may address it from a register that it has at hand.
 */
const hasFixedTarget = (instruction: iced.Instruction): boolean => {
  const { flowControl } = instruction;
  if (flowControl !== FlowControl.IndirectBranch && flowControl !== FlowControl.IndirectCall) return true;
  const isMemory = instruction.opKind(0) === iced.OpKind.Memory;
  const { memoryBase, memoryIndex } = instruction;
  return (
    isMemory &&
    memoryIndex === iced.Register.None &&
    (memoryBase === iced.Register.RIP || memoryBase === iced.Register.None)
  );
};

const saveKind = ({ mnemonic }: iced.Instruction): 'save' | 'restore' | undefined => {
  if (mnemonic === iced.Mnemonic.Push) return 'save';
  return mnemonic === iced.Mnemonic.Pop ? 'restore' : undefined;
};
