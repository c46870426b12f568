/** A system instruction of a kernel under a hypervisor. */
export interface TrappedInstruction {
  /** `privileged` ones trap on a real CPU; `other` ones, such as loads of segment registers, do not. */
  readonly kind: 'system-call' | 'privileged' | 'other';
  /** Virtual address of the instruction behind it. */
  readonly next: bigint;
}

/**
 * What runs a machine's guest kernel without privileges. The kernel's mode is privilege level 0 of the machine, for page tables and
 * for what counts as kernel mode; everything that a real CPU would trap comes here.
 */
export interface Hypervisor {
  /** `done`: rip and registers are set; `halt`: the same, and the guest waits; `pass`: the machine executes the instruction. */
  instruction(instruction: TrappedInstruction): 'done' | 'halt' | 'pass';
  /** A fault of the instruction at rip, or a software interrupt before rip; `address` is that of a page fault. */
  exception(vector: number, errorCode: number, address: bigint): void;
  /** An external interrupt before the instruction at rip. */
  interrupt(vector: number): void;
}
