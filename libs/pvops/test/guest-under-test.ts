import { type GuestVirt, guestVirt } from '@pvtrail/primitives';
import {
  bitsOf,
  type CallSite,
  GUEST_TYPES,
  type GuestType,
  type HypervisorSide,
  nativeOp,
  optimisationsAt,
  type Paging,
  type PatchContext,
  PVOPS,
  type PvopName,
  patchSites,
  type SitePatch,
  type Stage,
  typeOf,
} from '../src/index.js';

export const SITE_ADDRESS = { 32: guestVirt(0xc0101000n), 64: guestVirt(0xffffffff81001000n) } as const;
const SPECIAL = {
  32: { nop: guestVirt(0xc0300000n), ident32: guestVirt(0xc0300010n), ident64: guestVirt(0xc0300020n) },
  64: {
    nop: guestVirt(0xffffffff81300000n),
    ident32: guestVirt(0xffffffff81300010n),
    ident64: guestVirt(0xffffffff81300020n),
  },
} as const;

/** A real function of its own for the op. */
export const functionOf = (pvop: PvopName, paging: Paging): GuestVirt =>
  guestVirt(SITE_ADDRESS[bitsOf(paging)] + 0x10_0000n + BigInt(typeOf(pvop, paging)) * 0x40n);

/** Ops that a guest type implements itself, where the native slot holds the empty or the identity function (domain.md §5). */
const OWN_OPS: Partial<Record<GuestType, (pvop: string) => boolean>> = {
  xen: (pvop) =>
    /_val$|make_|adjust_exception_frame$|activate_mm|dup_mmap|exit_mmap|alloc_|release_|lazy_mode|pgd_free/.test(pvop),
};
/** Ops that Xen leaves to the empty function. */
const XEN_NOPS: readonly PvopName[] = ['cpu.swapgs', 'cpu.load_tr_desc', 'mmu.pte_update', 'mmu.pte_update_defer'];

const slotOf = (guestType: GuestType, pvop: (typeof PVOPS)[number], paging: Paging, stage: Stage): GuestVirt => {
  const special = SPECIAL[bitsOf(paging)];
  if (guestType === 'xen' && XEN_NOPS.includes(pvop.name)) return special.nop;
  const kind = OWN_OPS[guestType]?.(pvop.name) ? 'function' : nativeOp(pvop, paging);
  if (kind === 'nop') return special.nop;
  if (kind === 'identity' && optimisationsAt(stage, paging).has('identity')) {
    return paging === '2level' ? special.ident32 : special.ident64;
  }
  return functionOf(pvop.name, paging);
};

export const hypervisorOf = (guestType: GuestType): HypervisorSide => {
  switch (guestType) {
    case 'xen':
      return { guestType, vcpuPlacement: true, vcpuInfo: guestVirt(0x9000n), checkEvents: guestVirt(0xc0310000n) };
    case 'lguest':
      return { guestType, irqEnabled: guestVirt(0xc0320004n) };
    case 'vmi':
      return { guestType, relocations: new Map() };
    default:
      return { guestType };
  }
};

/** A guest with an Intel CPU that has NOPL, and the identities only in the stages that have them. */
export const guestUnderTest = (
  guestType: GuestType,
  bits: 32 | 64,
  stage: Stage,
  more: { paging?: Paging; hypervisor?: HypervisorSide } = {},
): PatchContext => {
  const paging = more.paging ?? GUEST_TYPES[guestType].pagings.find((candidate) => bitsOf(candidate) === bits);
  if (paging === undefined) throw new Error(`${guestType} has no ${bits}-bit guest`);
  return {
    bits,
    paging,
    stage,
    cpu: { vendor: 'intel', features: ['nopl'] },
    opTable: new Map(
      PVOPS.flatMap((pvop) =>
        pvop.slots[paging] === null ? [] : [[pvop.slots[paging], slotOf(guestType, pvop, paging, stage)]],
      ),
    ),
    special: SPECIAL[bits],
    noreplaceParavirt: false,
    ...(more.hypervisor ?? hypervisorOf(guestType)),
  };
};

/** A site whose bytes cannot be taken for a patch. */
export const siteOf = (pvop: PvopName, length: number, clobbers: number, paging: Paging): CallSite => ({
  address: SITE_ADDRESS[bitsOf(paging)],
  type: typeOf(pvop, paging),
  length,
  clobbers,
  bytesBefore: new Uint8Array(length).fill(0xcc),
});

export const patchOne = (context: PatchContext, site: CallSite): SitePatch => {
  const [patch] = patchSites(context, [site]);
  if (patch === undefined) throw new Error('one site in, no patch out');
  return patch;
};

/** `inline 1+7`, `direct-call 5+2`, `unchanged clobber-test`: outcome, bytes of the patch and of the nops after it, or the reason. */
export const summary = (patch: SitePatch): string =>
  patch.outcome === 'unchanged'
    ? `unchanged ${patch.reason}`
    : `${patch.outcome} ${patch.bytesAfter.length - patch.nopBytes}+${patch.nopBytes}`;
