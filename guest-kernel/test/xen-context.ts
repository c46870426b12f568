import { type GuestVirt, guestVirt, parseVirt } from '@pvtrail/primitives';
import type { PatchContext, Stage } from '@pvtrail/pvops';
import { catalogueAt, nativeContext } from './stage-image.js';

const FOLDER = 'xen-64';
/** Place of vcpu_info in the CPU's area (docs/adr/007). */
export const VCPU_INFO = guestVirt(0x80n);

const functionAddress = (stage: Stage, name: string): GuestVirt => {
  const found = catalogueAt(stage, FOLDER).functions.find((fn) => fn.name === name);
  if (found === undefined) throw new Error(`no function ${name}`);
  return parseVirt(found.address);
};

/** A Xen guest of 64 bit as its patcher sees it. */
export const xenContext = (stage: Stage, read: (address: GuestVirt, length: number) => Uint8Array): PatchContext => ({
  ...nativeContext(stage, read, FOLDER),
  guestType: 'xen',
  vcpuPlacement: stage === 'v2.6.30' || stage === 'direct-call',
  vcpuInfo: VCPU_INFO,
  checkEvents: functionAddress(stage, 'xen_check_events'),
});
