import type { EventOf, GuestSpec } from '@pvtrail/contracts';
import { AppError, parseVirt } from '@pvtrail/primitives';
import type { HypervisorSide, PatchContext } from '@pvtrail/pvops';

type Discovery = EventOf<'CallSitesDiscovered'>['payload'];

/** The nop table follows from the CPU: Intel has NOPL, AMD's K8 does not use it (domain.md §3.5). */
const CPU_IDENTITY = {
  intel: { vendor: 'intel', features: ['nopl'] },
  amd: { vendor: 'amd', features: ['k8'] },
} as const;

/**
 * A guest as the rules of patching see it: what was asked for, and what it disclosed when it had booted.
 * @throws AppError `event/malformed` without what its type's hook must know, `input/unsupported-combination` for types without kernels
 */
export const patchContextOf = (spec: GuestSpec, discovery: Discovery): PatchContext => {
  const { opTable, special } = discovery;
  return {
    ...hypervisorSideOf(spec, discovery),
    bits: spec.bits,
    paging: spec.paging,
    stage: spec.stage,
    cpu: CPU_IDENTITY[spec.cpu],
    opTable: new Map(opTable.map(({ type, target }) => [type, parseVirt(target)])),
    special: {
      nop: parseVirt(special?.nop ?? '0x0'),
      ...(special?.ident32 === undefined ? {} : { ident32: parseVirt(special.ident32) }),
      ...(special?.ident64 === undefined ? {} : { ident64: parseVirt(special.ident64) }),
    },
    noreplaceParavirt: false,
  };
};

const hypervisorSideOf = ({ type }: GuestSpec, { guestId, xen }: Discovery): HypervisorSide => {
  switch (type) {
    case 'native':
    case 'kvm':
    case 'vsmp':
      return { guestType: type };
    case 'xen':
      if (xen === undefined)
        throw new AppError('event/malformed', `the Xen guest ${guestId} has not told its placement`);
      return {
        guestType: type,
        vcpuPlacement: xen.vcpuPlacement,
        vcpuInfo: parseVirt(xen.vcpuInfo),
        checkEvents: parseVirt(xen.checkEvents),
      };
    case 'lguest':
    case 'vmi':
      throw new AppError('input/unsupported-combination', `${type} guests cannot be booted yet`);
  }
};
