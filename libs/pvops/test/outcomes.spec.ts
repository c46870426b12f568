import { guestVirt, toHex } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import {
  type AsmClobberArgument,
  asmSiteMask,
  bitsOf,
  type CallSiteForm,
  callSiteShape,
  cCallForm,
  compilerAssumesLost,
  cSiteMask,
  GUEST_TYPES,
  type GuestType,
  optimisationsAt,
  type Paging,
  type PvopName,
  patchSites,
  pvopNamed,
  type Stage,
  thunkOf,
  type VmiRelocation,
} from '../src/index.js';
import { readCases, words } from './case-file.js';
import { functionOf, guestUnderTest, patchOne, siteOf, summary } from './guest-under-test.js';
import { matchesPattern } from './pattern.js';

describe('irq ops: native inlines everywhere, the others only where a template fits or the mask is ANY', () => {
  type Column = 'guest' | 'bits' | 'stage' | 'site' | 'ops' | 'length' | 'outcome';
  it.each(readCases<Column>('irq-outcomes'))('$row', (row) => {
    for (const guestType of words(row.guest) as readonly GuestType[]) {
      const pagings = GUEST_TYPES[guestType].pagings.filter((candidate) => bitsOf(candidate) === Number(row.bits));
      expect(pagings).not.toEqual([]);
      for (const paging of pagings) checkIrqOps(row, guestType, paging);
    }
  });

  const checkIrqOps = (row: Readonly<Record<Column, string>>, guestType: GuestType, paging: Paging) => {
    const bits = bitsOf(paging);
    const stage = row.stage as Stage;
    const code = optimisationsAt(stage, paging);
    const argument = row.site as AsmClobberArgument;
    const form: CallSiteForm = row.site === 'c' ? { form: 'c-irq' } : { form: 'asm-irq', argument };
    const clobbers = row.site === 'c' ? cSiteMask('c-irq', bits, code) : asmSiteMask(argument, bits, code);
    const length = Number(row.length);
    expect(callSiteShape(form, bits, code).lengthBytes).toBe(length);
    for (const op of words(row.ops)) {
      const context = guestUnderTest(guestType, bits, stage, { paging });
      const patch = patchOne(context, siteOf(`irq.${op}` as PvopName, length, clobbers, paging));
      expect(summary(patch), `${guestType} ${paging} ${op}`).toBe(row.outcome);
    }
  };
});

describe('pte_val and make_pte', () => {
  type Column = 'guest' | 'paging' | 'stage' | 'length' | 'outcome' | 'lost' | 'thunk';
  it.each(readCases<Column>('pte-val-outcomes'))('$row', (row) => {
    const paging = row.paging as Paging;
    const bits = bitsOf(paging);
    const stage = row.stage as Stage;
    const code = optimisationsAt(stage, paging);
    for (const guestType of words(row.guest) as readonly GuestType[]) {
      for (const op of ['mmu.pte_val', 'mmu.make_pte'] as const) {
        const form = cCallForm(pvopNamed(op), code);
        const length = Number(row.length);
        expect(callSiteShape({ form }, bits, code).lengthBytes).toBe(length);
        const site = siteOf(op, length, cSiteMask(form, bits, code), paging);
        expect(summary(patchOne(guestUnderTest(guestType, bits, stage, { paging }), site))).toBe(row.outcome);
        expect(compilerAssumesLost(pvopNamed(op), paging, code)).toHaveLength(Number(row.lost));
      }
    }
    if (row.thunk !== '-') expect(thunkOf(bits, code).extraInstructions).toBe(Number(row.thunk));
  });
});

describe('other types', () => {
  type Column = 'guest' | 'bits' | 'stage' | 'nops' | 'op' | 'length' | 'clobbers' | 'outcome' | 'bytes';
  it.each(readCases<Column>('other-outcomes'))('$row', (row) => {
    const bits = row.bits === '64' ? 64 : 32;
    const guest = guestUnderTest(row.guest as GuestType, bits, row.stage as Stage);
    const cpu = row.nops === 'p6' ? guest.cpu : ({ vendor: 'amd', features: ['k8', 'nopl'] } as const);
    const op = row.op as PvopName;
    const site = siteOf(op, Number(row.length), Number(row.clobbers), guest.paging);
    const patch = patchOne({ ...guest, cpu }, site);
    expect(summary(patch)).toBe(row.outcome);
    expect(matchesPattern(row.bytes, patch.bytesAfter), toHex(patch.bytesAfter)).toBe(true);
    if (patch.outcome === 'direct-call' || patch.outcome === 'direct-jump') {
      const displacement = new DataView(patch.bytesAfter.buffer).getInt32(1, true);
      expect(patch.target).toBe(functionOf(op, guest.paging));
      expect(site.address + 5n + BigInt(displacement)).toBe(patch.target);
    }
  });
});

describe('VMI', () => {
  type Column = 'stage' | 'op' | 'length' | 'clobbers' | 'relocation' | 'outcome';
  const target = guestVirt(0xc00c1000n);
  const relocation = (cell: string): VmiRelocation =>
    cell === 'none' || cell === 'nop' ? { kind: cell } : { kind: cell === 'call_rel' ? cell : 'jump_rel', target };
  it.each(readCases<Column>('vmi'))('$row', (row) => {
    const op = row.op as PvopName;
    const relocations = new Map(row.relocation === '-' ? [] : [[op, relocation(row.relocation)] as const]);
    const guest = guestUnderTest('vmi', 32, row.stage as Stage, { hypervisor: { guestType: 'vmi', relocations } });
    const site = siteOf(op, Number(row.length), Number(row.clobbers), guest.paging);
    if (row.outcome === 'stops') {
      expect(() => patchOne(guest, site)).toThrowError(expect.objectContaining({ code: 'patch/rule-violation' }));
      return;
    }
    const patch = patchOne(guest, site);
    expect(summary(patch)).toBe(row.outcome);
    const again = patchOne(guest, { ...site, bytesBefore: patch.bytesAfter });
    expect(again, 'a second pass leaves what the first made').toEqual(patch);
    if (patch.outcome === 'direct-call' || patch.outcome === 'direct-jump') expect(patch.target).toBe(target);
  });

  it('a guest ignores a relocation for an op that its hook does not patch', () => {
    const relocations = new Map([['mmu.set_pte', { kind: 'call_rel', target } as const]] as const);
    const guest = guestUnderTest('vmi', 32, 'v2.6.30', { hypervisor: { guestType: 'vmi', relocations } });
    expect(summary(patchOne(guest, siteOf('mmu.set_pte', 6, 0xf, guest.paging)))).toBe('unchanged hook-declines');
  });
});

describe('the driver', () => {
  const guest = guestUnderTest('native', 64, 'v2.6.30');
  const site = siteOf('irq.irq_disable', 7, 1, '4level');

  it('patches the sites in the order of the records', () => {
    const sites = [site, siteOf('mmu.pte_val', 7, 1, '4level'), siteOf('mmu.alloc_pte', 7, 0x1ff, '4level')];
    expect(patchSites(guest, sites).map(summary)).toEqual(['inline 1+6', 'inline 3+4', 'nop 0+7']);
  });

  it('stops at a site longer than 254 bytes', () => {
    expect(() => patchOne(guest, siteOf('irq.irq_disable', 255, 1, '4level'))).toThrowError(/1 to 254 bytes/);
    expect(summary(patchOne(guest, siteOf('irq.irq_disable', 254, 1, '4level')))).toBe('inline 1+253');
  });

  it('stops when a patch is longer than its site', () => {
    const short = siteOf('mmu.set_pte', 1, 0x1ff, '4level');
    const missing = { ...guest, opTable: new Map([[short.type, guestVirt(0n)]]) };
    expect(() => patchOne(missing, short)).toThrowError(/its patch takes 2 bytes/);
  });

  it('stops at a type that the op table does not have', () => {
    const beyond = { ...site, type: 111 };
    expect(() => patchOne(guest, beyond)).toThrowError(expect.objectContaining({ code: 'patch/rule-violation' }));
    const emptyTable = { ...guest, opTable: new Map() };
    const call = siteOf('mmu.set_pte', 7, 0x1ff, '4level');
    expect(() => patchOne(emptyTable, call)).toThrowError(/op table has no slot/);
  });

  it('leaves every site when the boot flag turns it off', () => {
    const patch = patchOne({ ...guest, noreplaceParavirt: true }, site);
    expect(summary(patch)).toBe('unchanged kept-by-stage');
    expect(patch.bytesAfter).toEqual(site.bytesBefore);
  });

  it('has nothing to patch in a nopv kernel, and no guests that never were', () => {
    expect(() => patchSites({ ...guest, stage: 'nopv' }, [site])).toThrowError(/nopv/);
    expect(() => patchSites({ ...guest, guestType: 'vsmp', bits: 32, paging: 'pae' }, [])).toThrowError(
      /no vsmp guest/,
    );
    expect(() => patchSites({ ...guest, paging: 'pae' }, [])).toThrowError(/64-bit guests do not have pae/);
  });

  it('cuts a displacement that does not fit to 32 bits', () => {
    const far = siteOf('mmu.set_pte', 7, 0x1ff, '4level');
    const opTable = new Map([[far.type, guestVirt(far.address + 5n + 0x1_2345_6789n)]]);
    expect(toHex(patchOne({ ...guest, opTable }, far).bytesAfter)).toBe('e8896745236690');
  });

  it('recognises identities only from the stage that has them', () => {
    const opTable = new Map([[92, guest.special.ident64 ?? guestVirt(0n)]]);
    const valueSite = siteOf('mmu.pte_val', 6, 0x1ff, '4level');
    expect(summary(patchOne({ ...guest, stage: 'v2.6.29', opTable }, valueSite))).toBe('direct-call 5+1');
    expect(summary(patchOne({ ...guest, stage: 'identity', opTable }, valueSite))).toBe('inline 3+3');
  });

  it('Xen uses its direct irq ops only with per-CPU vcpu_info', () => {
    const placed = guestUnderTest('xen', 32, 'v2.6.29');
    const disable = siteOf('irq.irq_disable', 10, 1, 'pae');
    expect(summary(patchOne(placed, disable))).toBe('inline 8+2');
    if (placed.guestType !== 'xen') throw new Error('not a Xen guest');
    expect(summary(patchOne({ ...placed, vcpuPlacement: false }, disable))).toBe('unchanged clobber-test');
  });
});
