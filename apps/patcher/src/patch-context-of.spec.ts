import { guestIdOf, parseGuestSpec, runIdOf } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { patchContextOf } from './patch-context-of.js';

const guestId = guestIdOf(runIdOf('run'), 0, 'guest');
const discovery = { guestId, sites: [], opTable: [{ type: 92, target: '0xffffffff81001000' }] };
const xen = parseGuestSpec({ type: 'xen', stage: 'v2.6.30', workload: 'fork' });

describe('patchContextOf', () => {
  it('gives the hook of a Xen guest the placement that the guest told', () => {
    const told = { vcpuPlacement: true, vcpuInfo: '0x0000000000000080', checkEvents: '0xffffffff81002000' };
    expect(patchContextOf(xen, { ...discovery, xen: told })).toMatchObject({
      guestType: 'xen',
      bits: 64,
      paging: '4level',
      stage: 'v2.6.30',
      vcpuPlacement: true,
      vcpuInfo: 0x80n,
      checkEvents: 0xffffffff81002000n,
      opTable: new Map([[92, 0xffffffff81001000n]]),
    });
  });

  it('refuses a Xen guest that has not told it', () => {
    expect(() => patchContextOf(xen, discovery)).toThrowError(expect.objectContaining({ code: 'event/malformed' }));
  });

  it('refuses types whose kernels do not exist', () => {
    const lguest = parseGuestSpec({ type: 'lguest', bits: 32, stage: 'v2.6.30', workload: 'fork' });
    expect(() => patchContextOf(lguest, discovery)).toThrowError(AppError);
  });
});
