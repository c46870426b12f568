/** Guest types with the bitnesses they exist in (architecture.md, The guests). */
export const GUEST_BITS = {
  native: [64, 32],
  xen: [64, 32],
  kvm: [64, 32],
  lguest: [32],
  vmi: [32],
  vsmp: [64],
} as const satisfies Record<string, readonly (32 | 64)[]>;

export type GuestType = keyof typeof GUEST_BITS;
export const GUEST_TYPES = Object.keys(GUEST_BITS) as [GuestType, ...GuestType[]];

/** The stages in order of time; `nopv` is the zero of every overhead and exists for native only (definitions.md §1). */
export { type MeasuredStage as Stage, STAGES } from '@pvtrail/pvops';

/** The position in this list is the number in the boot parameters. */
export const WORKLOADS = ['nullsyscall', 'pagefault', 'fork', 'mmap', 'ctxswitch', 'timer', 'spinlock', 'mix'] as const;
export type Workload = (typeof WORKLOADS)[number];

/** hot: the kernel path alone. mixed: the process runs its own code and data between kernel entries (definitions.md §3). */
export const FOOTPRINTS = ['hot', 'mixed'] as const;
export type Footprint = (typeof FOOTPRINTS)[number];

export const PAGINGS = ['4level', 'pae', '2level'] as const;
export type Paging = (typeof PAGINGS)[number];

/** Decides the nop table: intel has NOPL (P6 nops), amd gets the K8 nops (domain.md §3). */
export const CPUS = ['intel', 'amd'] as const;
export type Cpu = (typeof CPUS)[number];

/** 64 bit has four levels; of the 32-bit guests lguest and VMI run two levels (definitions.md §1). */
export const defaultPaging = (type: GuestType, bits: 32 | 64): Paging => {
  if (bits === 64) return '4level';
  return type === 'lguest' || type === 'vmi' ? '2level' : 'pae';
};
