import { guestVirt, toHex } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { type IrqTemplates, lguestIrqTemplates, type PvopName, templateAt, xenIrqTemplates } from '../src/index.js';
import { guestUnderTest, patchOne, siteOf } from './guest-under-test.js';

const VCPU_INFO = guestVirt(0x11223344n);
const CHECK_EVENTS = guestVirt(0xc0400000n);
const OPS: readonly PvopName[] = ['irq.irq_enable', 'irq.irq_disable', 'irq.save_fl', 'irq.restore_fl'];
const sizes = (templates: IrqTemplates) => OPS.map((op) => templates[op]?.bytes.length);
const hexOf = (templates: IrqTemplates, op: PvopName) => toHex(templates[op]?.bytes ?? new Uint8Array());

describe('Xen irq templates', () => {
  it('are 25, 9, 14 and 31 bytes on 64 bit and 23, 8, 13 and 27 on 32 bit', () => {
    expect(sizes(xenIrqTemplates(64, VCPU_INFO, CHECK_EVENTS))).toEqual([25, 9, 14, 31]);
    expect(sizes(xenIrqTemplates(32, VCPU_INFO, CHECK_EVENTS))).toEqual([23, 8, 13, 27]);
  });

  it('store 1 to the mask byte, one after the pending byte, to disable', () => {
    expect(hexOf(xenIrqTemplates(64, VCPU_INFO, CHECK_EVENTS), 'irq.irq_disable')).toBe('65c604254533221101');
    expect(hexOf(xenIrqTemplates(32, VCPU_INFO, CHECK_EVENTS), 'irq.irq_disable')).toBe('64c6054533221101');
  });

  it('turn the mask byte into the interrupt flag, bit 9, to save', () => {
    expect(hexOf(xenIrqTemplates(64, VCPU_INFO, CHECK_EVENTS), 'irq.save_fl')).toBe('65f6042545332211ff0f94c400e4');
  });

  it('compare {pending 1, mask 0} after setting the mask to restore', () => {
    expect(hexOf(xenIrqTemplates(64, VCPU_INFO, CHECK_EVENTS), 'irq.restore_fl')).toBe(
      '66f7c70002650f940425453322116566' + '833c2544332211017505e800000000',
    );
    expect(hexOf(xenIrqTemplates(32, VCPU_INFO, CHECK_EVENTS), 'irq.restore_fl')).toBe(
      'f6c402640f9405453322116466833d44332211017505e800000000',
    );
  });

  it('have their call rebased to the site', () => {
    const enable = xenIrqTemplates(32, VCPU_INFO, CHECK_EVENTS)['irq.irq_enable'];
    if (enable === undefined) throw new Error('no template');
    const site = guestVirt(0xc0123000n);
    const placed = templateAt(enable, site);
    const displacement = new DataView(placed.buffer).getInt32(placed.length - 4, true);
    expect(site + BigInt(placed.length + displacement)).toBe(CHECK_EVENTS);
    expect(placed.subarray(0, -4)).toEqual(enable.bytes.subarray(0, -4));
  });

  it('go into a site that is long enough, call and all', () => {
    const guest = guestUnderTest('xen', 32, 'v2.6.30');
    const patch = patchOne(guest, siteOf('irq.irq_enable', 23, 0xf, 'pae'));
    expect(patch.outcome).toBe('inline');
    expect(patch.nopBytes).toBe(0);
  });
});

describe('lguest irq templates', () => {
  const templates = lguestIrqTemplates(guestVirt(0xc0654321n));
  it('move the shared word', () => {
    expect(OPS.map((op) => hexOf(templates, op))).toEqual([
      'c705214365c000020000',
      'c705214365c000000000',
      'a1214365c0',
      'a3214365c0',
    ]);
  });
});
