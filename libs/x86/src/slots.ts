import {
  Code,
  type Instruction,
  type InstructionInfo,
  InstructionInfoFactory,
  InstructionInfoOptions,
  MemorySize,
  MemorySizeExt,
  Mnemonic,
  OpAccess,
  OpKind,
} from 'iced-x86';
import { isRepString } from './block-end.js';

export type Direction = 'read' | 'write' | 'update';

/** One memory reference that every execution of an instruction makes (ADR 002, "References of a block"). */
export interface ReferenceSlot {
  /** Index of the instruction in its block. */
  readonly instruction: number;
  /** `update` is a read and a write of the same place. */
  readonly direction: Direction;
  readonly widthBytes: number;
  /** The implicit stack operand of push, pop, call, ret, leave or iret; false for an explicit `(%rsp)` operand. */
  readonly stack: boolean;
  /** Belongs to a rep string instruction: the address is the first of a run, the run's length is in `extras`. */
  readonly repeated: boolean;
}

type SlotSketch = Omit<ReferenceSlot, 'instruction'>;

const info = new InstructionInfoFactory();
const INFO_OPTIONS = InstructionInfoOptions.NoMemoryUsage | InstructionInfoOptions.NoRegisterUsage;

const DIRECTION_OF_ACCESS: Readonly<Partial<Record<OpAccess, Direction>>> = {
  [OpAccess.Read]: 'read',
  [OpAccess.CondRead]: 'read', // cmov loads its operand even when it does not move it (Intel SDM vol. 2, CMOVcc)
  [OpAccess.Write]: 'write',
  [OpAccess.CondWrite]: 'write',
  [OpAccess.ReadWrite]: 'update',
  [OpAccess.ReadCondWrite]: 'update', // cmpxchg writes the old value back when the comparison fails (SDM vol. 2, CMPXCHG)
};

/** Memory operands that are no data references of the guest: hints, descriptor tables, cache control. */
const WITHOUT_REFERENCE = new Set<Mnemonic>(
  'Nop Lea Prefetch Prefetchnta Prefetcht0 Prefetcht1 Prefetcht2 Prefetchw Invlpg Lgdt Lidt Sgdt Sidt Clflush Clflushopt Enter Ud0 Ud1 Reservednop'
    .split(' ')
    .map((name) => Mnemonic[name as keyof typeof Mnemonic]),
);

const read = (widthBytes: number): SlotSketch => ({ direction: 'read', widthBytes, stack: true, repeated: false });
const write = (widthBytes: number): SlotSketch => ({ direction: 'write', widthBytes, stack: true, repeated: false });
const times = (count: number, slot: SlotSketch): readonly SlotSketch[] => Array.from({ length: count }, () => slot);

/** Implicit stack slots that do not follow from the stack pointer's increment. */
const STACK_SLOTS_OF_CODE = new Map<Code, readonly SlotSketch[]>([
  [Code.Retnw, [read(2)]],
  [Code.Retnw_imm16, [read(2)]],
  [Code.Retnd, [read(4)]],
  [Code.Retnd_imm16, [read(4)]],
  [Code.Retnq, [read(8)]],
  [Code.Retnq_imm16, [read(8)]],
  [Code.Retfw, times(2, read(2))],
  [Code.Retfw_imm16, times(2, read(2))],
  [Code.Retfd, times(2, read(4))],
  [Code.Retfd_imm16, times(2, read(4))],
  [Code.Retfq, times(2, read(8))],
  [Code.Retfq_imm16, times(2, read(8))],
  [Code.Leavew, [read(2)]],
  [Code.Leaved, [read(4)]],
  [Code.Leaveq, [read(8)]],
  [Code.Iretw, times(3, read(2))],
  [Code.Iretd, times(3, read(4))],
  [Code.Iretq, times(5, read(8))],
  [Code.Pushaw, times(8, write(2))],
  [Code.Pushad, times(8, write(4))],
  [Code.Popaw, times(7, read(2))], // the saved stack pointer is skipped (SDM vol. 2, POPA)
  [Code.Popad, times(7, read(4))],
  [Code.Call_m1616, times(2, write(2))],
  [Code.Call_m1632, times(2, write(4))],
  [Code.Call_m1664, times(2, write(8))],
  [Code.Call_ptr1616, times(2, write(2))],
  [Code.Call_ptr1632, times(2, write(4))],
]);

/** iretd in 64-bit mode pops SS and RSP too (SDM vol. 2, IRET). */
const iretdSlots = (bits: 32 | 64): readonly SlotSketch[] => times(bits === 64 ? 5 : 3, read(4));

const implicitStackSlots = (instruction: Instruction, bits: 32 | 64): readonly SlotSketch[] => {
  if (instruction.code === Code.Iretd) return iretdSlots(bits);
  const listed = STACK_SLOTS_OF_CODE.get(instruction.code);
  if (listed !== undefined) return listed;
  if (instruction.mnemonic === Mnemonic.Enter) return [];
  const increment = instruction.stackPointerIncrement;
  if (increment === 0) return [];
  return increment < 0 ? [write(-increment)] : [read(increment)];
};

const isMemory = (kind: OpKind): boolean => kind >= OpKind.MemorySegSI && kind <= OpKind.Memory;

/** xlat's and maskmov's operands count as memory operands of iced too; far pointers are read as 2 bytes more than their offset. */
const widthOf = (instruction: Instruction): number =>
  instruction.memorySize === MemorySize.Unknown ? 0 : MemorySizeExt.size(instruction.memorySize);

const explicitSlots = (instruction: Instruction): readonly SlotSketch[] => {
  if (WITHOUT_REFERENCE.has(instruction.mnemonic)) return [];
  const operands = [...Array(instruction.opCount).keys()].filter((operand) => isMemory(instruction.opKind(operand)));
  if (operands.length === 0) return [];
  const repeated = isRepString(instruction);
  const used: InstructionInfo = info.infoOptions(instruction, INFO_OPTIONS);
  try {
    return operands.flatMap((operand) => {
      // A rep string instruction's accesses are conditional for iced, because the count may be 0.
      const direction = DIRECTION_OF_ACCESS[used.opAccess(operand)];
      return direction === undefined ? [] : [{ direction, widthBytes: widthOf(instruction), stack: false, repeated }];
    });
  } finally {
    used.free();
  }
};

const isPopToMemory = (instruction: Instruction): boolean => instruction.mnemonic === Mnemonic.Pop;

/** The explicit operands in the order of execution: a string move reads before it writes. */
const inExecutionOrder = (instruction: Instruction, explicit: readonly SlotSketch[], stack: readonly SlotSketch[]) => {
  if (explicit.length > 1) {
    return [
      ...explicit.filter((slot) => slot.direction === 'read'),
      ...explicit.filter((slot) => slot.direction !== 'read'),
    ];
  }
  return isPopToMemory(instruction) ? [...stack, ...explicit] : [...explicit, ...stack];
};

/** The reference slots of one instruction, in the order of execution (ADR 002). */
export const slotsOf = (instruction: Instruction, index: number, bits: 32 | 64): readonly ReferenceSlot[] => {
  if (instruction.isInvalid) return [];
  const explicit = explicitSlots(instruction);
  const stack = implicitStackSlots(instruction, bits);
  if (explicit.length === 0 && stack.length === 0) return [];
  return inExecutionOrder(instruction, explicit, stack).map((slot) => ({ instruction: index, ...slot }));
};
