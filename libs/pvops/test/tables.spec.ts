import { fromHex, guestVirt, toHex } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import {
  type AsmClobberArgument,
  anyMask,
  argumentMask,
  asmSiteMask,
  type Bits,
  bitsOf,
  type CallSiteForm,
  type CpuFeature,
  type CpuIdentity,
  calleePreservedMask,
  callSiteShape,
  chooseNopTable,
  compilerAssumesLost,
  cSiteMask,
  identitySnippet,
  maskBits,
  type NopTable,
  nativeSnippet,
  nopInstructions,
  nops,
  optimisationsAt,
  type Paging,
  type PvopName,
  pvopNamed,
  returnMask,
  type Stage,
  scratchMask,
  thunkBytes,
  thunkOf,
} from '../src/index.js';
import { readCases, words } from './case-file.js';
import { guestUnderTest, patchOne, siteOf, summary } from './guest-under-test.js';
import { matchesPattern } from './pattern.js';

const bitsIn = (cell: string): Bits => (cell === '64' ? 64 : 32);
const codeOf = (stage: string, bits: Bits) => optimisationsAt(stage as Stage, bits === 64 ? '4level' : 'pae');

describe('native inline bytes', () => {
  const SITE_BYTES = 12;
  const become = (op: PvopName, bits: Bits) => {
    const context = guestUnderTest('native', bits, 'v2.6.30');
    return patchOne(context, siteOf(op, SITE_BYTES, anyMask(bits, codeOf('v2.6.30', bits)), context.paging));
  };
  const check = (op: string, bits: Bits, cell: string) => {
    if (op === 'missing') {
      const guest = guestUnderTest('native', bits, 'v2.6.30');
      const site = siteOf('mmu.set_pte', SITE_BYTES, 0, guest.paging);
      const patch = patchOne({ ...guest, opTable: new Map([[site.type, guestVirt(0n)]]) }, site);
      expect(summary(patch)).toBe(`ud2 2+${SITE_BYTES - 2}`);
      expect(patch.bytesAfter.subarray(0, 2)).toEqual(fromHex(cell));
    } else if (op === 'identity-32' || op === 'identity-64') {
      const bytes = identitySnippet(op === 'identity-32' ? 'ident32' : 'ident64', bits);
      expect(toHex(bytes)).toBe(cell === 'nothing' ? '' : toHex(fromHex(cell)));
    } else if (cell === '-') {
      expect(nativeSnippet(op as PvopName, bits)).toBeUndefined();
    } else if (cell === 'call') {
      expect(summary(become(op as PvopName, bits))).toBe(`direct-call 5+${SITE_BYTES - 5}`);
    } else {
      const bytes = fromHex(cell);
      const patch = become(op as PvopName, bits);
      expect(summary(patch)).toBe(`inline ${bytes.length}+${SITE_BYTES - bytes.length}`);
      expect(patch.bytesAfter.subarray(0, bytes.length)).toEqual(bytes);
    }
  };
  it.each(readCases<'op' | 'bits32' | 'bits64'>('native-inline'))('$row', ({ op, bits32, bits64 }) => {
    check(op, 32, bits32);
    check(op, 64, bits64);
  });
});

describe('nop tables', () => {
  const TABLES: readonly NopTable[] = ['generic', 'k8', 'k7', 'p6'];
  it.each(readCases<'n' | NopTable | 'instructions generic k8 k7 p6'>('nops'))('$row', (row) => {
    const length = Number(row.n);
    expect(TABLES.map((table) => toHex(nops(table, length)))).toEqual(
      TABLES.map((table) => toHex(fromHex(row[table]))),
    );
    const instructions = TABLES.map((table) => nopInstructions(table, length));
    expect(instructions.join(' ')).toBe(row['instructions generic k8 k7 p6']);
  });
  it.each(readCases<'bits' | 'vendor' | 'features' | 'table'>('nop-choice'))('$row', (row) => {
    const cpu = { vendor: row.vendor as CpuIdentity['vendor'], features: words(row.features) as readonly CpuFeature[] };
    expect(chooseNopTable(bitsIn(row.bits), cpu)).toBe(row.table);
  });
  it('no bytes need no nops', () => {
    expect(TABLES.map((table) => nops(table, 0).length)).toEqual([0, 0, 0, 0]);
  });
});

describe('clobber masks', () => {
  it.each(readCases<'era' | 'bits' | 'registers, bit 0 first'>('clobber-bits'))('$row', (row) => {
    const bits = bitsIn(row.bits);
    const [first, last] = row.era === 'P3' ? ['clobber-aware', 'v2.6.30'] : ['v2.6.29', 'identity'];
    for (const stage of [first, last]) {
      expect(maskBits(bits, codeOf(stage ?? '', bits)).join(' ')).toBe(row['registers, bit 0 first']);
    }
  });

  type Column =
    | 'stage'
    | 'bits'
    | 'any'
    | 'arg'
    | 'scratch'
    | 'ret'
    | 'preserved'
    | 'site-c'
    | 'site-irq'
    | 'site-callee-save';
  /** ARG is written with the bits of P3 in the cases: RSI and RDI swap places but are both in it. */
  it.each(readCases<Column>('clobber-sets'))('$row', (row) => {
    const bits = bitsIn(row.bits);
    const code = codeOf(row.stage, bits);
    expect(anyMask(bits, code)).toBe(Number(row.any));
    expect(argumentMask(bits, code)).toBe(Number(row.arg));
    expect(scratchMask(bits, code)).toBe(Number(row.scratch));
    expect(returnMask(bits, code)).toBe(row.ret === 'none' ? null : Number(row.ret));
    expect(calleePreservedMask(bits, code)).toBe(Number(row.preserved));
    expect(cSiteMask('c', bits, code)).toBe(Number(row['site-c']));
    expect(cSiteMask('c-irq', bits, code)).toBe(Number(row['site-irq']));
    if (row['site-callee-save'] !== '-') {
      expect(cSiteMask('c-callee-save', bits, code)).toBe(Number(row['site-callee-save']));
    }
  });

  it.each(readCases<'argument' | 'bits' | 'stage' | 'mask'>('asm-site-masks'))('$row', (row) => {
    const bits = bitsIn(row.bits);
    expect(asmSiteMask(row.argument as AsmClobberArgument, bits, codeOf(row.stage, bits))).toBe(Number(row.mask));
  });
});

describe('call site shapes', () => {
  it.each(readCases<'form' | 'bits' | 'stage' | 'length' | 'saves'>('site-encodings'))('$row', (row) => {
    const bits = bitsIn(row.bits);
    const shape = callSiteShape({ form: row.form } as CallSiteForm, bits, codeOf(row.stage, bits));
    expect(shape).toEqual({ lengthBytes: Number(row.length), saves: words(row.saves) });
  });

  it.each(readCases<'argument' | 'bits' | 'stage' | 'length' | 'saves'>('asm-save-sets'))('$row', (row) => {
    const bits = bitsIn(row.bits);
    const argument = row.argument as AsmClobberArgument;
    const shape = () => callSiteShape({ form: 'asm-irq', argument }, bits, codeOf(row.stage, bits));
    if (row.saves === 'unsupported') {
      expect(shape).toThrowError(expect.objectContaining({ code: 'input/unsupported-combination' }));
    } else {
      expect(shape()).toEqual({ lengthBytes: Number(row.length), saves: words(row.saves) });
    }
  });
});

describe('the C side', () => {
  it.each(readCases<'op' | 'paging' | 'stage' | 'lost'>('compiler-clobbers'))('$row', (row) => {
    const paging = row.paging as Paging;
    const lost = compilerAssumesLost(pvopNamed(row.op), paging, optimisationsAt(row.stage as Stage, paging));
    expect(lost.toSorted()).toEqual(words(row.lost).toSorted());
  });

  it.each(readCases<'bits' | 'stage' | 'paging' | 'saves' | 'size' | 'extra' | 'bytes'>('thunks'))('$row', (row) => {
    const paging = row.paging as Paging;
    const code = optimisationsAt(row.stage as Stage, paging);
    const bits = bitsOf(paging);
    expect(bits).toBe(bitsIn(row.bits));
    const saves = words(row.saves);
    expect(thunkOf(bits, code)).toEqual({ saves, lengthBytes: Number(row.size), extraInstructions: Number(row.extra) });
    const bytes = thunkBytes(bits, code, guestVirt(0xc0100000n), guestVirt(0xc0200000n));
    expect(matchesPattern(row.bytes, bytes), toHex(bytes)).toBe(true);
    const callAt = bytes.indexOf(0xe8);
    const displacement = new DataView(bytes.buffer).getInt32(callAt + 1, true);
    expect(0xc0100000 + callAt + 5 + displacement).toBe(0xc0200000);
  });
});
