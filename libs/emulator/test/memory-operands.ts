import { A_ADDRESS, B_ADDRESS, GS_BASE, HIGH_ADDRESS, PAGE_BYTES, STACK_ADDRESS } from './areas.js';
import type { MemoryOperand } from './assembler.js';
import { DoesNotFit, type RegionDraft, RSP } from './region-draft.js';

export interface AccessRequest {
  readonly bytes: number;
  readonly access: 'read' | 'write' | 'rmw';
  /** Registers that the instruction's own preparation will overwrite. */
  readonly avoid?: readonly number[];
  /** No REX prefix possible: the other operand is ah, ch, dh or bh. */
  readonly legacyOnly?: boolean;
  /** Naturally aligned: locked operations across cache lines are slow natively. */
  readonly aligned?: boolean;
  /** Where no fault is wanted. */
  readonly mapped?: boolean;
  /** No base or index that a later preface could disturb, and a displacement that bears + 16. */
  readonly plain?: boolean;
}

const MIDDLE_BYTES = 0xa00;

const middle = (draft: RegionDraft, start: bigint): bigint =>
  start + BigInt(draft.random.below(2) * PAGE_BYTES + 0x300 + draft.random.below(MIDDLE_BYTES));

/** Addresses at which an access of `bytes` fails, or meets a page that may only be read. */
function edge(draft: RegionDraft, bytes: number): bigint {
  const { random } = draft;
  const back = BigInt(random.below(bytes + 1));
  const end = 2n * BigInt(PAGE_BYTES);
  if (draft.bits === 32) return edge32(random, back);
  return random.pick([
    BigInt(A_ADDRESS) - back,
    BigInt(A_ADDRESS) + end - back,
    BigInt(A_ADDRESS) + end + BigInt(random.below(PAGE_BYTES - 16)),
    BigInt(A_ADDRESS) + 3n * BigInt(PAGE_BYTES) - back,
    BigInt(B_ADDRESS) - back,
    BigInt(B_ADDRESS) + end - back,
    HIGH_ADDRESS + end - back,
    BigInt(random.below(0x8000)),
    // Not across the ends of the canonical halves: what the host has there is its own affair.
    0x0000800000000000n + BigInt(random.nextU32()),
    0xffff700000000000n + BigInt(random.nextU32()),
    0xffff800000000000n + BigInt(random.nextU32()),
    0xffffffffffff0000n + BigInt(random.below(0xff00)),
  ]);
}

/** The same in 32-bit code. Not across 4 GiB: whether that exceeds a segment's limit is the processor's affair. */
const edge32 = (random: RegionDraft['random'], back: bigint): bigint => {
  const end = 2n * BigInt(PAGE_BYTES);
  return random.pick([
    BigInt(A_ADDRESS) - back,
    BigInt(A_ADDRESS) + end - back,
    BigInt(A_ADDRESS) + end + BigInt(random.below(PAGE_BYTES - 16)),
    BigInt(A_ADDRESS) + 3n * BigInt(PAGE_BYTES) - back,
    BigInt(B_ADDRESS) - back,
    BigInt(B_ADDRESS) + end - back,
    BigInt(random.below(0x8000)),
    0xc0000000n + BigInt(random.below(0x3ff00000)),
    0xffff0000n + BigInt(random.below(0xff00)),
  ]);
};

/** Well inside one of the areas that ordinary operands use. */
export const isMapped = (address: bigint): boolean =>
  [BigInt(A_ADDRESS), BigInt(B_ADDRESS), HIGH_ADDRESS].some(
    (start) => address >= start + 16n && address < start + 2n * BigInt(PAGE_BYTES) - 64n,
  );

/** Where an operand of `bytes` bytes may lie: mostly inside an area, often across two pages, sometimes where it faults. */
export function anchor(draft: RegionDraft, request: AccessRequest, below4G: boolean): bigint {
  const { random } = draft;
  const starts = [BigInt(A_ADDRESS), BigInt(B_ADDRESS), ...(below4G || draft.bits === 32 ? [] : [HIGH_ADDRESS])];
  const start = random.pick(starts);
  if (request.aligned) return middle(draft, start) & ~15n;
  const choice = random.below(request.mapped ? 98 : 100);
  if (choice < 86) return middle(draft, start);
  if (choice < 98 && request.bytes > 1) return start + BigInt(PAGE_BYTES - 1 - random.below(request.bytes - 1));
  const at = edge(draft, request.bytes);
  return (below4G && at > 0x7fff0000n) || choice < 98 ? middle(draft, start) : at;
}

const smallDisplacement = (draft: RegionDraft): Pick<MemoryOperand, 'displacement' | 'encoding'> => {
  const displacement = draft.random.below(256) - 128;
  return draft.random.below(3) === 0
    ? { displacement: 0, encoding: 'none' }
    : { displacement, encoding: draft.random.pick(['disp8', 'disp8', 'disp32']) };
};

const largeDisplacement = (draft: RegionDraft): number => (draft.random.nextU32() | 0) >> draft.random.below(16);

function indexOf(draft: RegionDraft, legacyOnly: boolean): Pick<MemoryOperand, 'index' | 'scale'> {
  const candidates = draft.roles.indexes.filter((number) => !legacyOnly || number < 8);
  if (candidates.length === 0) return {};
  return { index: draft.random.pick(candidates), scale: draft.random.pick([1, 2, 4, 8]) };
}

/** [pointer + index·scale + disp]: the address differs from case to case. */
function throughPointer(draft: RegionDraft, request: AccessRequest): MemoryOperand {
  const { legacyOnly = false, access } = request;
  const candidates = draft.roles.pointers.filter(
    (number) => (!legacyOnly || number < 8) && !(number === RSP && draft.inRoutine && access !== 'read'),
  );
  if (candidates.length === 0) throw new DoesNotFit();
  const index = draft.random.below(2) === 0 ? indexOf(draft, legacyOnly) : {};
  return {
    kind: 'mem',
    base: draft.random.pick(candidates),
    ...index,
    ...smallDisplacement(draft),
    addressWidth: draft.bits,
  };
}

/** mov base, address − displacement first: any displacement, 32-bit addressing with garbage above it, aligned operands. */
function throughLoadedBase(draft: RegionDraft, request: AccessRequest): MemoryOperand {
  const { random } = draft;
  const { legacyOnly = false, aligned = false, plain = false } = request;
  const base = draft.pickWritable(request.avoid, legacyOnly);
  const addressWidth = draft.bits === 32 || random.below(4) === 0 ? 32 : 64;
  const address = anchor(draft, request, addressWidth < draft.bits);
  const index = !aligned && !plain && random.below(3) === 0 ? indexOf(draft, legacyOnly) : {};
  const small = plain ? { displacement: random.below(100), encoding: 'disp8' as const } : smallDisplacement(draft);
  const chosen =
    random.below(2) === 0 && !plain ? { displacement: largeDisplacement(draft), encoding: 'disp32' as const } : small;
  const value = address - BigInt(chosen.displacement);
  const garbage = BigInt(random.nextU32()) << 32n;
  draft.load(base, addressWidth === 32 ? garbage | BigInt.asUintN(32, value) : value);
  return { kind: 'mem', base, ...index, ...chosen, addressWidth };
}

/** What ModRM without base or SIB byte means. */
const withoutSib = (draft: RegionDraft): 'rip' | 'absolute' => (draft.bits === 64 ? 'rip' : 'absolute');

function withoutBase(draft: RegionDraft, request: AccessRequest): MemoryOperand {
  const { random } = draft;
  const below2G = (): number => {
    const at = anchor(draft, request, true);
    return Number(at);
  };
  const addressWidth = draft.bits === 32 || random.below(4) === 0 ? 32 : 64;
  const form = random.below(request.plain ? 2 : 4);
  if (form === 0) return { kind: 'mem', displacement: below2G(), encoding: withoutSib(draft), addressWidth };
  if (form === 1 || request.aligned) return { kind: 'mem', displacement: below2G(), encoding: 'disp32', addressWidth };
  const index = indexOf(draft, request.legacyOnly ?? false);
  if (form === 2) return { kind: 'mem', ...index, displacement: below2G(), encoding: 'disp32', addressWidth };
  const displacement = Number(BigInt(B_ADDRESS) - BigInt(GS_BASE)) + 0x400 + random.below(MIDDLE_BYTES);
  return { kind: 'mem', ...index, displacement, encoding: 'disp32', addressWidth: draft.bits, gs: true };
}

/** Chooses a memory operand and writes the instructions that prepare its base. */
export function memoryOperand(draft: RegionDraft, request: AccessRequest): MemoryOperand {
  const choice = draft.random.below(100);
  if (!request.aligned && !request.plain && choice < 50) return throughPointer(draft, request);
  return choice < 80 ? throughLoadedBase(draft, request) : withoutBase(draft, request);
}

/** An operand whose address is computed and not accessed (lea, nop, prefetch): any registers, any displacement. */
export function addressOnly(draft: RegionDraft): MemoryOperand {
  const { random } = draft;
  const addressWidth = draft.bits === 32 || random.below(3) === 0 ? 32 : 64;
  const displacement = largeDisplacement(draft);
  if (random.below(8) === 0)
    return {
      kind: 'mem',
      displacement: Number(anchor(draft, { bytes: 1, access: 'read' }, true)),
      encoding: withoutSib(draft),
      addressWidth,
    };
  const index = random.pick([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].slice(0, draft.registers - 1));
  const scaled = random.below(3) === 0 ? {} : { index, scale: random.pick([1, 2, 4, 8] as const) };
  if (random.below(6) === 0) return { kind: 'mem', ...scaled, displacement, encoding: 'disp32', addressWidth };
  const base = random.below(draft.registers);
  const form = random.below(3);
  if (form === 0) return { kind: 'mem', base, ...scaled, displacement: 0, encoding: 'none', addressWidth };
  if (form === 1)
    return { kind: 'mem', base, ...scaled, displacement: (displacement << 24) >> 24, encoding: 'disp8', addressWidth };
  return { kind: 'mem', base, ...scaled, displacement, encoding: 'disp32', addressWidth };
}

/** An address in the stack area from which pushes and pops stay inside. */
export const stackAddress = (draft: RegionDraft): bigint =>
  BigInt(STACK_ADDRESS) + BigInt(0x800 + draft.random.below(0x1000));

/** The name of an addressing form in the coverage table. */
export function addressingName(operand: MemoryOperand): string {
  if (operand.encoding === 'rip' || operand.encoding === 'absolute')
    return `${operand.encoding} ${operand.addressWidth}`;
  const parts = [
    ...(operand.gs ? ['gs'] : []),
    ...(operand.base === undefined ? [] : ['base']),
    ...(operand.index === undefined ? [] : [`index*${operand.scale}`]),
    ...(operand.encoding === 'none' ? [] : [operand.encoding]),
  ];
  return `${parts.join('+')} ${operand.addressWidth}`;
}
