import { type Instruction, Mnemonic, Register } from 'iced-x86';

/** Instructions whose cost an average per instruction does not describe: the key of the cost model's table (definitions §4). */
export type SystemClass =
  | 'cli'
  | 'sti'
  | 'pushf'
  | 'popf'
  | 'read-cr'
  | 'write-cr0'
  | 'write-cr3'
  | 'write-cr4'
  | 'write-cr'
  | 'move-dr'
  | 'clts'
  | 'lmsw'
  | 'smsw'
  | 'invlpg'
  | 'wbinvd'
  | 'rdmsr'
  | 'wrmsr'
  | 'rdtsc'
  | 'cpuid'
  | 'in'
  | 'out'
  | 'hlt'
  | 'iret'
  | 'int'
  | 'syscall'
  | 'sysret'
  | 'sysenter'
  | 'sysexit'
  | 'swapgs'
  | 'load-descriptor-table'
  | 'store-descriptor-table'
  | 'load-segment'
  | 'far-transfer'
  | 'vm-call';

const BY_MNEMONIC = new Map<Mnemonic, SystemClass>([
  [Mnemonic.Cli, 'cli'],
  [Mnemonic.Sti, 'sti'],
  [Mnemonic.Pushf, 'pushf'],
  [Mnemonic.Pushfd, 'pushf'],
  [Mnemonic.Pushfq, 'pushf'],
  [Mnemonic.Popf, 'popf'],
  [Mnemonic.Popfd, 'popf'],
  [Mnemonic.Popfq, 'popf'],
  [Mnemonic.Clts, 'clts'],
  [Mnemonic.Lmsw, 'lmsw'],
  [Mnemonic.Smsw, 'smsw'],
  [Mnemonic.Invlpg, 'invlpg'],
  [Mnemonic.Wbinvd, 'wbinvd'],
  [Mnemonic.Invd, 'wbinvd'],
  [Mnemonic.Rdmsr, 'rdmsr'],
  [Mnemonic.Wrmsr, 'wrmsr'],
  [Mnemonic.Rdtsc, 'rdtsc'],
  [Mnemonic.Rdtscp, 'rdtsc'],
  [Mnemonic.Cpuid, 'cpuid'],
  [Mnemonic.In, 'in'],
  [Mnemonic.Out, 'out'],
  [Mnemonic.Hlt, 'hlt'],
  [Mnemonic.Iret, 'iret'],
  [Mnemonic.Iretd, 'iret'],
  [Mnemonic.Iretq, 'iret'],
  [Mnemonic.Int, 'int'],
  [Mnemonic.Int1, 'int'],
  [Mnemonic.Int3, 'int'],
  [Mnemonic.Into, 'int'],
  [Mnemonic.Syscall, 'syscall'],
  [Mnemonic.Sysret, 'sysret'],
  [Mnemonic.Sysretq, 'sysret'],
  [Mnemonic.Sysenter, 'sysenter'],
  [Mnemonic.Sysexit, 'sysexit'],
  [Mnemonic.Sysexitq, 'sysexit'],
  [Mnemonic.Swapgs, 'swapgs'],
  [Mnemonic.Lgdt, 'load-descriptor-table'],
  [Mnemonic.Lidt, 'load-descriptor-table'],
  [Mnemonic.Lldt, 'load-descriptor-table'],
  [Mnemonic.Ltr, 'load-descriptor-table'],
  [Mnemonic.Sgdt, 'store-descriptor-table'],
  [Mnemonic.Sidt, 'store-descriptor-table'],
  [Mnemonic.Sldt, 'store-descriptor-table'],
  [Mnemonic.Str, 'store-descriptor-table'],
  [Mnemonic.Lds, 'load-segment'],
  [Mnemonic.Les, 'load-segment'],
  [Mnemonic.Lfs, 'load-segment'],
  [Mnemonic.Lgs, 'load-segment'],
  [Mnemonic.Lss, 'load-segment'],
  [Mnemonic.Retf, 'far-transfer'],
  [Mnemonic.Vmcall, 'vm-call'],
  [Mnemonic.Vmmcall, 'vm-call'],
]);

const CONTROL_WRITE = new Map<Register, SystemClass>([
  [Register.CR0, 'write-cr0'],
  [Register.CR3, 'write-cr3'],
  [Register.CR4, 'write-cr4'],
]);

const inRange = (register: Register, first: Register, last: Register): boolean => register >= first && register <= last;

const moveClass = (instruction: Instruction): SystemClass | undefined => {
  const { op0Register: to, op1Register: from } = instruction;
  if (inRange(to, Register.CR0, Register.CR15)) return CONTROL_WRITE.get(to) ?? 'write-cr';
  if (inRange(from, Register.CR0, Register.CR15)) return 'read-cr';
  if (inRange(to, Register.DR0, Register.DR15) || inRange(from, Register.DR0, Register.DR15)) return 'move-dr';
  return inRange(to, Register.ES, Register.GS) ? 'load-segment' : undefined;
};

const isFar = (instruction: Instruction): boolean =>
  instruction.isCallFar || instruction.isJmpFar || instruction.isCallFarIndirect || instruction.isJmpFarIndirect;

/** The cost class of an instruction, or undefined for an ordinary one. */
export const systemClassOf = (instruction: Instruction): SystemClass | undefined => {
  const { mnemonic } = instruction;
  if (mnemonic === Mnemonic.Mov) return moveClass(instruction);
  if (mnemonic === Mnemonic.Pop) {
    return inRange(instruction.op0Register, Register.ES, Register.GS) ? 'load-segment' : undefined;
  }
  if (mnemonic === Mnemonic.Jmp || mnemonic === Mnemonic.Call) return isFar(instruction) ? 'far-transfer' : undefined;
  return BY_MNEMONIC.get(mnemonic);
};
