import { AppError, formatVirt } from '@pvtrail/primitives';
import { type CatalogueSite, isIrqOp, type PvopName, pvopOfType, slotCount } from '@pvtrail/pvops';
import iced from 'iced-x86';

const { Decoder, DecoderOptions, FlowControl } = iced;

/** Record of 2.6.29 … 4.19 on 64 bit (domain.md §2.3): pointer, u8 type, u8 length, u16 clobbers; 12 bytes used, stride 16. */
const RECORD = { usedBytes: 12, strideBytes: 16, typeAt: 8, lengthAt: 9, clobbersAt: 10 } as const;

/** Masks of C sites from P4 on, and of C irq sites always, name RAX only (domain.md §2.2). */
const RESULT_ONLY = 1;

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
  records: Uint8Array,
  read: (address: bigint, length: number) => Uint8Array,
  ownerOf: (address: bigint) => SiteOwner | undefined,
): CatalogueSite[] => {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const sites: CatalogueSite[] = [];
  for (let at = 0; at + RECORD.usedBytes <= records.length; at += RECORD.strideBytes) {
    const address = view.getBigUint64(at, true);
    const type = view.getUint8(at + RECORD.typeAt);
    const length = view.getUint8(at + RECORD.lengthAt);
    const clobbers = view.getUint16(at + RECORD.clobbersAt, true);
    const op = type < slotCount('4level') ? pvopOfType(type, '4level').name : undefined;
    const owner = ownerOf(address);
    if (op === undefined || owner === undefined) {
      throw new AppError(
        'image/corrupt',
        `patch record ${at / RECORD.strideBytes}: ${formatVirt(address)}, type ${type} is no call site`,
      );
    }
    const decoded = decodeSite(read(address, length), address, owner.name);
    const recordType = owner.assembly ? (decoded.jumps ? 'asm-jump' : 'asm-call') : typeOfCSite(op, clobbers);
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

const typeOfCSite = (op: PvopName, clobbers: number): CatalogueSite['recordType'] => {
  if (isIrqOp(op)) return 'c-irq';
  return clobbers === RESULT_ONLY ? 'c-callee-save' : 'c';
};

/** Pushes before the call and pops after it are the site's own saves: they go when the site is patched. */
const decodeSite = (
  code: Uint8Array,
  address: bigint,
  owner: string,
): { jumps: boolean; innerSaves: CatalogueSite['innerSaves'] } => {
  const decoder = new Decoder(64, code, DecoderOptions.None);
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
