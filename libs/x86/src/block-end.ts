import { type Instruction, Mnemonic, OpKind, Register } from 'iced-x86';

/**
 * Why a block ends (ADR 002).
 *
 * | kind | after it, control is at |
 * |---|---|
 * | jump, call | the direct target |
 * | conditional | the direct target or the next instruction (jcc, loop*, jcxz) |
 * | indirect-jump, indirect-call, return, far | anywhere |
 * | interrupt-return | anywhere (iret) |
 * | system-call, system-return | anywhere (syscall, sysenter; sysret, sysexit) |
 * | software-interrupt | a handler, explained by an exception event (int, int3, int1, into) |
 * | halt | the next instruction, after an interrupt |
 * | undefined | a handler: ud2, or bytes that are no instruction; never retires |
 * | system | the next instruction: the instruction may change what follows (mov cr, wrmsr, out, …) |
 * | rep, before-rep | the next instruction: a rep string instruction is alone in its block |
 * | size, page | the next instruction: 64 instructions, or the end of the page |
 * | bytes | unknown: the given bytes stop here |
 */
export type BlockEndKind =
  | 'jump'
  | 'conditional'
  | 'call'
  | 'indirect-jump'
  | 'indirect-call'
  | 'return'
  | 'far'
  | 'interrupt-return'
  | 'system-call'
  | 'system-return'
  | 'software-interrupt'
  | 'halt'
  | 'undefined'
  | 'system'
  | 'rep'
  | 'before-rep'
  | 'size'
  | 'page'
  | 'bytes';

const DIRECT_KINDS = new Set<OpKind>([OpKind.NearBranch16, OpKind.NearBranch32, OpKind.NearBranch64]);

const CONDITIONAL = new Set<Mnemonic>(
  'Ja Jae Jb Jbe Je Jg Jge Jl Jle Jne Jno Jnp Jns Jo Jp Js Jcxz Jecxz Jrcxz Loop Loope Loopne'
    .split(' ')
    .map((name) => Mnemonic[name as keyof typeof Mnemonic]),
);

/** Mnemonics whose end kind does not depend on the operands. */
const BY_MNEMONIC = new Map<Mnemonic, BlockEndKind>([
  [Mnemonic.Ret, 'return'],
  [Mnemonic.Retf, 'far'],
  [Mnemonic.Iret, 'interrupt-return'],
  [Mnemonic.Iretd, 'interrupt-return'],
  [Mnemonic.Iretq, 'interrupt-return'],
  [Mnemonic.Syscall, 'system-call'],
  [Mnemonic.Sysenter, 'system-call'],
  [Mnemonic.Sysret, 'system-return'],
  [Mnemonic.Sysretq, 'system-return'],
  [Mnemonic.Sysexit, 'system-return'],
  [Mnemonic.Sysexitq, 'system-return'],
  [Mnemonic.Int, 'software-interrupt'],
  [Mnemonic.Int1, 'software-interrupt'],
  [Mnemonic.Int3, 'software-interrupt'],
  [Mnemonic.Into, 'software-interrupt'],
  [Mnemonic.Hlt, 'halt'],
  [Mnemonic.INVALID, 'undefined'],
  [Mnemonic.Ud0, 'undefined'],
  [Mnemonic.Ud1, 'undefined'],
  [Mnemonic.Ud2, 'undefined'],
  // ADR 002 rule 2; enter ends a block because the emulator refuses it, the vm calls because control leaves the guest.
  ...'Wrmsr Rdmsr In Out Insb Insw Insd Outsb Outsw Outsd Sti Popf Popfd Popfq Lgdt Lidt Lldt Ltr Invlpg Wbinvd Invd Clts Lmsw Swapgs Cpuid Rdtsc Rdtscp Lds Les Lfs Lgs Lss Vmcall Vmmcall'
    .split(' ')
    .map((name): [Mnemonic, BlockEndKind] => [Mnemonic[name as keyof typeof Mnemonic], 'system']),
]);

const isControlRegister = (register: Register): boolean =>
  (register >= Register.CR0 && register <= Register.CR15) || (register >= Register.DR0 && register <= Register.DR15);

const isSegmentRegister = (register: Register): boolean => register >= Register.ES && register <= Register.GS;

const touchesSystemRegister = (instruction: Instruction): boolean => {
  if (instruction.mnemonic === Mnemonic.Pop) return isSegmentRegister(instruction.op0Register);
  if (instruction.mnemonic !== Mnemonic.Mov) return false;
  return (
    isSegmentRegister(instruction.op0Register) ||
    isControlRegister(instruction.op0Register) ||
    isControlRegister(instruction.op1Register)
  );
};

const branchEnd = (instruction: Instruction): BlockEndKind | undefined => {
  if (CONDITIONAL.has(instruction.mnemonic)) return 'conditional';
  const isCall = instruction.mnemonic === Mnemonic.Call;
  if (!isCall && instruction.mnemonic !== Mnemonic.Jmp) return undefined;
  if (hasDirectTarget(instruction)) return isCall ? 'call' : 'jump';
  if (instruction.isCallFar || instruction.isJmpFar || instruction.isCallFarIndirect || instruction.isJmpFarIndirect) {
    return 'far';
  }
  return isCall ? 'indirect-call' : 'indirect-jump';
};

/** Whether the first operand is a near branch target held in the instruction itself. */
export const hasDirectTarget = (instruction: Instruction): boolean =>
  instruction.opCount > 0 && DIRECT_KINDS.has(instruction.op0Kind);

/** A string instruction with rep, repe or repne: alone in its block (ADR 002 rule 3). */
export const isRepString = (instruction: Instruction): boolean =>
  instruction.isStringInstruction && (instruction.hasRepPrefix || instruction.hasRepnePrefix);

/** How a decoded instruction ends its block by itself, or undefined when the block goes on (ADR 002 rules 1–3). */
export const endKindOf = (instruction: Instruction): BlockEndKind | undefined =>
  BY_MNEMONIC.get(instruction.mnemonic) ??
  branchEnd(instruction) ??
  (touchesSystemRegister(instruction) ? 'system' : isRepString(instruction) ? 'rep' : undefined);
