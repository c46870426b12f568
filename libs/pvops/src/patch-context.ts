import type { GuestVirt } from '@pvtrail/primitives';
import type { CpuIdentity } from './nops.js';
import type { PvopName } from './pvop-catalogue.js';
import type { Bits, Paging } from './registers.js';
import type { Stage } from './stages.js';

/** One patch record with the bytes at its site. */
export interface CallSite {
  readonly address: GuestVirt;
  /** Slot of the op template: byte offset / pointer size (domain.md §1.2). */
  readonly type: number;
  readonly length: number;
  /** Registers that the surroundings can do without; bits by era (domain.md §2.2). */
  readonly clobbers: number;
  readonly bytesBefore: Uint8Array;
}

/** Functions whose address in a slot means something to the patcher. The identities exist from stage `identity` on. */
export interface SpecialFunctions {
  readonly nop: GuestVirt;
  readonly ident32?: GuestVirt;
  readonly ident64?: GuestVirt;
}

/** What the VMI ROM answers for a call (domain.md §5.4). */
export type VmiRelocation =
  | { readonly kind: 'none' }
  | { readonly kind: 'nop' }
  | { readonly kind: 'call_rel' | 'jump_rel'; readonly target: GuestVirt };

/** What a guest type's hook must know beyond the op table. */
export type HypervisorSide =
  | { readonly guestType: 'native' | 'kvm' | 'vsmp' }
  | {
      readonly guestType: 'xen';
      /** Every vcpu_info could be placed in per-CPU memory, so the direct irq ops can be used. */
      readonly vcpuPlacement: boolean;
      /** Offset of vcpu_info in the per-CPU segment. */
      readonly vcpuInfo: GuestVirt;
      readonly checkEvents: GuestVirt;
    }
  | { readonly guestType: 'lguest'; readonly irqEnabled: GuestVirt }
  | { readonly guestType: 'vmi'; readonly relocations: ReadonlyMap<PvopName, VmiRelocation> };

/** A guest as its patcher sees it. */
export type PatchContext = {
  readonly bits: Bits;
  readonly paging: Paging;
  readonly stage: Stage;
  readonly cpu: CpuIdentity;
  /** Slot → the address it holds; 0 is a missing op. */
  readonly opTable: ReadonlyMap<number, GuestVirt>;
  readonly special: SpecialFunctions;
  /** The boot flag of this name: every site keeps its indirect call. */
  readonly noreplaceParavirt: boolean;
} & HypervisorSide;

/**
 * Why a site keeps its instructions: the reason of the last rule that was asked. So a site whose Xen template is too long and
 * whose mask then fails says `clobber-test`.
 */
export type KeptReason =
  | 'clobber-test'
  | 'shorter-than-5'
  | 'template-does-not-fit'
  | 'hook-declines'
  | 'kept-by-stage';

export type SiteOutcome = 'inline' | 'nop' | 'direct-call' | 'direct-jump' | 'unchanged' | 'ud2';

/** A hook's decision; the driver fills what `bytes` leaves over. */
export type Verdict =
  | { readonly outcome: 'inline' | 'nop' | 'ud2'; readonly bytes: Uint8Array }
  | { readonly outcome: 'direct-call' | 'direct-jump'; readonly bytes: Uint8Array; readonly target: GuestVirt }
  | { readonly outcome: 'unchanged'; readonly reason: KeptReason };

/** What became of a site. `nopBytes` counts the filling after the patch. */
export type SitePatch = { readonly bytesAfter: Uint8Array; readonly nopBytes: number } & (
  | { readonly outcome: 'inline' | 'nop' | 'ud2' }
  | { readonly outcome: 'direct-call' | 'direct-jump'; readonly target: GuestVirt }
  | { readonly outcome: 'unchanged'; readonly reason: KeptReason }
);
