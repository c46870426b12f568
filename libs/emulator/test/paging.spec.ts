import { describe, expect, it } from 'vitest';
import type { MachineExit } from '../src/index.js';
import {
  ACCESSED,
  type Action,
  DIRTY,
  GLOBAL,
  KINDS,
  LARGE,
  LARGE_PAGE,
  LARGE_PHYS,
  NX,
  OTHER_LARGE_PHYS,
  OTHER_PHYS,
  P,
  PAGE,
  PAGE_PHYS,
  PagingMachine,
  U,
  W,
} from './paging-machine.js';

// Bits of a page fault's error code (Intel SDM vol. 3A §4.7).
const ERROR = { present: 1, write: 2, user: 4, reserved: 8, fetch: 16 } as const;

const DONE = { kind: 'exception', vector: 3, errorCode: 0, address: 0n };
const fault = (errorCode: number, address = PAGE): MachineExit => ({
  kind: 'exception',
  vector: 14,
  errorCode,
  address: BigInt(address),
});

const ACCESSES = (['read', 'write', 'fetch'] as const).flatMap((action) =>
  ([0, 3] as const).map((cpl) => [action, cpl] as const),
);

/** The bits of an error code that follow from the access alone. */
const accessBits = (action: Action, cpl: 0 | 3, noExecute: boolean): number =>
  (action === 'write' ? ERROR.write : 0) |
  (cpl === 3 ? ERROR.user : 0) |
  (action === 'fetch' && noExecute ? ERROR.fetch : 0);

const subsets = (bits: readonly bigint[]): bigint[] =>
  bits.reduce<bigint[]>((sets, bit) => sets.flatMap((set) => [set, set | bit]), [0n]);

describe.each(KINDS)('%s page tables', (kind) => {
  const canForbidExecution = kind !== '2-level';
  const machineWith = (flags: bigint, options = {}): PagingMachine => {
    const paging = new PagingMachine(kind, options);
    paging.mapPage(PAGE, PAGE_PHYS, flags);
    return paging;
  };

  it.each([true, false])('combine the rights of both last levels, with CR0.WP = %s', (writeProtect) => {
    const paging = machineWith(0n, { writeProtect });
    const [directoryAt = 0, entryAt = 0] = paging.entriesOf(PAGE).slice(-2);
    const table = paging.entry(directoryAt) & 0xfffff000n;
    const rights = subsets(canForbidExecution ? [W, U, NX] : [W, U]);
    for (const ofDirectory of rights) {
      for (const ofPage of rights) {
        paging.setEntry(directoryAt, table | ofDirectory | P);
        paging.setEntry(entryAt, BigInt(PAGE_PHYS) | ofPage | P);
        paging.machine.flushTlb();
        const both = ofDirectory & ofPage;
        for (const [action, cpl] of ACCESSES) {
          const refused =
            (cpl === 3 && (both & U) === 0n) ||
            (action === 'write' && (both & W) === 0n && (cpl === 3 || writeProtect)) ||
            (action === 'fetch' && ((ofDirectory | ofPage) & NX) !== 0n);
          const expected = refused ? fault(ERROR.present | accessBits(action, cpl, canForbidExecution)) : DONE;
          const exit = paging.do(action, PAGE, cpl);
          expect({ ofDirectory, ofPage, action, cpl, exit }).toEqual({
            ofDirectory,
            ofPage,
            action,
            cpl,
            exit: expected,
          });
        }
      }
    }
  });

  it.each(ACCESSES)('report a page that is not there: %s at ring %i', (action, cpl) => {
    const bits = accessBits(action, cpl, canForbidExecution);
    expect(machineWith(0n).do(action, PAGE, cpl)).toEqual(fault(bits));
    // nor the table for it
    expect(machineWith(0n).do(action, 0x80000000, cpl)).toEqual(fault(bits, 0x80000000));
  });

  it('mark accessed what a walk uses, and dirty the page that is written', () => {
    const paging = machineWith(P | W | U);
    const entries = paging.entriesOf(PAGE);
    const marks = (): bigint[] => entries.map((at) => paging.entry(at) & (ACCESSED | DIRTY));
    const upper = entries.slice(0, -1).map((_, level) => (kind === 'PAE' && level === 0 ? 0n : ACCESSED));
    paging.do('read', PAGE, 3);
    expect(marks()).toEqual([...upper, ACCESSED]);
    paging.do('write', PAGE, 3);
    expect(marks()).toEqual([...upper, ACCESSED | DIRTY]);
  });

  it('mark a page written once more when software has cleaned it and forgotten its translation', () => {
    const paging = machineWith(P | W);
    const at = paging.entriesOf(PAGE).at(-1) ?? 0;
    paging.do('write', PAGE);
    paging.setEntry(at, BigInt(PAGE_PHYS) | P | W);
    paging.do('invalidate', PAGE);
    paging.do('write', PAGE);
    expect(paging.entry(at) & (ACCESSED | DIRTY)).toBe(ACCESSED | DIRTY);
  });

  it('mark nothing dirty that could not be written', () => {
    const paging = machineWith(P);
    const at = paging.entriesOf(PAGE).at(-1) ?? 0;
    expect(paging.do('write', PAGE)).toEqual(fault(ERROR.present | ERROR.write));
    expect(paging.entry(at) & DIRTY).toBe(0n);
  });

  it('map a large page from its first byte to its last', () => {
    const paging = new PagingMachine(kind);
    const bytes = kind === '2-level' ? 4 << 20 : 2 << 20;
    const at = paging.mapLarge(LARGE_PAGE, LARGE_PHYS, P | W | U);
    for (const offset of [0, 0x123454, bytes - 4]) {
      paging.view.setUint32(LARGE_PHYS + offset, offset + 1, true);
      expect(paging.read(LARGE_PAGE + offset, 3)).toBe(offset + 1);
    }
    expect(paging.entry(at) & (ACCESSED | DIRTY)).toBe(ACCESSED);
    paging.do('write', LARGE_PAGE + 8, 3);
    expect(paging.entry(at) & (ACCESSED | DIRTY)).toBe(ACCESSED | DIRTY);
    expect(paging.do('read', LARGE_PAGE + bytes)).toEqual(fault(0, LARGE_PAGE + bytes));
  });

  it('refuse reserved bits of a large page', () => {
    const paging = new PagingMachine(kind);
    paging.mapLarge(LARGE_PAGE, LARGE_PHYS | 0x2000, P | W);
    expect(paging.do('read', LARGE_PAGE)).toEqual(fault(ERROR.present | ERROR.reserved, LARGE_PAGE));
  });

  describe('and the TLB', () => {
    /** A machine that has read the page, and then sees another one mapped there. */
    const remapped = (flags: bigint): PagingMachine => {
      const paging = machineWith(P | W | U | flags);
      paging.view.setUint32(PAGE_PHYS, 1, true);
      paging.view.setUint32(OTHER_PHYS, 2, true);
      expect(paging.read(PAGE)).toBe(1);
      paging.mapPage(PAGE, OTHER_PHYS, P | W | U | flags);
      return paging;
    };

    it('keep a translation until it is told to forget it', () => {
      expect(remapped(0n).read(PAGE)).toBe(1);
    });

    it('forget it at invlpg, a global one too', () => {
      for (const flags of [0n, GLOBAL]) {
        const paging = remapped(flags);
        expect(paging.do('invalidate', PAGE)).toEqual(DONE);
        expect(paging.read(PAGE)).toBe(2);
      }
    });

    it('forget it at a load of CR3, unless it is global', () => {
      for (const [flags, expected] of [
        [0n, 2],
        [GLOBAL, 1],
      ] as const) {
        const paging = remapped(flags);
        expect(paging.do('load root', paging.root)).toEqual(DONE);
        expect(paging.read(PAGE)).toBe(expected);
      }
    });

    it('forget a global one when CR4.PGE changes', () => {
      const paging = remapped(GLOBAL);
      const { cr4 } = paging.machine.cpu;
      paging.do('write cr4', Number(cr4 & ~0x80n));
      paging.do('write cr4', Number(cr4));
      expect(paging.read(PAGE)).toBe(2);
    });

    it('have a translation for each mode', () => {
      const paging = machineWith(P | W);
      expect(paging.do('read', PAGE)).toEqual(DONE);
      expect(paging.do('read', PAGE, 3)).toEqual(fault(ERROR.present | ERROR.user));
    });

    it('see at once that a page has come, and that more is allowed', () => {
      const paging = machineWith(0n);
      expect(paging.do('read', PAGE, 3)).toEqual(fault(ERROR.user));
      paging.mapPage(PAGE, PAGE_PHYS, P | U);
      expect(paging.do('read', PAGE, 3)).toEqual(DONE);
      expect(paging.do('write', PAGE, 3)).toEqual(fault(ERROR.present | ERROR.write | ERROR.user));
      paging.mapPage(PAGE, PAGE_PHYS, P | U | W);
      expect(paging.do('write', PAGE, 3)).toEqual(DONE);
    });

    it('forget all of a large page by one invlpg, wherever in it', () => {
      const last = (kind === '2-level' ? 4 << 20 : 2 << 20) - 4;
      for (const [seen, named] of [
        [0, last],
        [last, 0],
      ] as const) {
        const paging = new PagingMachine(kind);
        paging.view.setUint32(LARGE_PHYS + seen, 1, true);
        paging.view.setUint32(OTHER_LARGE_PHYS + seen, 2, true);
        paging.mapLarge(LARGE_PAGE, LARGE_PHYS, P | W | GLOBAL);
        expect(paging.read(LARGE_PAGE + seen)).toBe(1);
        paging.mapLarge(LARGE_PAGE, OTHER_LARGE_PHYS, P | W | GLOBAL);
        expect(paging.read(LARGE_PAGE + seen)).toBe(1);
        paging.do('invalidate', LARGE_PAGE + named);
        expect(paging.read(LARGE_PAGE + seen)).toBe(2);
      }
    });
  });

  describe('and an access across two pages', () => {
    it('translate each part', () => {
      const paging = machineWith(P | W | U);
      paging.mapPage(PAGE + 0x1000, 0x200000, P | W | U);
      paging.view.setUint16(PAGE_PHYS + 0xffe, 0x1234, true);
      paging.view.setUint16(0x200000, 0x5678, true);
      expect(paging.read(PAGE + 0xffe, 3)).toBe(0x56781234);
    });

    it('fault at the part that fails, with nothing written', () => {
      const paging = machineWith(P | W | U);
      paging.mapPage(PAGE + 0x1000, 0x200000, P | U);
      paging.machine.cpu.setGpr(0, 0n);
      paging.view.setUint16(PAGE_PHYS + 0xffe, 0x1111, true);
      expect(paging.do('write', PAGE + 0xffe, 3)).toEqual(
        fault(ERROR.present | ERROR.write | ERROR.user, PAGE + 0x1000),
      );
      expect(paging.view.getUint16(PAGE_PHYS + 0xffe, true)).toBe(0x1111);
    });
  });
});

describe('2-level page tables', () => {
  it('have no large pages without CR4.PSE: the bit is ignored', () => {
    const paging = new PagingMachine('2-level', { pageSizeExtension: false });
    paging.mapPage(PAGE, PAGE_PHYS, P | W);
    const [directoryAt = 0] = paging.entriesOf(PAGE);
    paging.setEntry(directoryAt, paging.entry(directoryAt) | LARGE);
    paging.view.setUint32(PAGE_PHYS, 7, true);
    expect(paging.read(PAGE)).toBe(7);
  });
});

it('2-level page tables do not forbid execution, nor say that a fetch failed, even where EFER.NXE is on', () => {
  const paging = new PagingMachine('2-level', { noExecute: true });
  expect(paging.do('fetch', PAGE)).toEqual(fault(0));
});

describe.each(['PAE', '4-level'] as const)('%s page tables', (kind) => {
  it.each([
    ['a physical address beyond 36 bits', 1n << 36n, {}],
    ['execute-disable while EFER.NXE is off', NX, { noExecute: false }],
  ])('refuse %s as reserved', (_, bit, options) => {
    const paging = new PagingMachine(kind, options);
    paging.mapPage(PAGE, PAGE_PHYS, P | W | U | bit);
    expect(paging.do('read', PAGE, 3)).toEqual(fault(ERROR.present | ERROR.user | ERROR.reserved));
  });
});

describe('PAE page tables', () => {
  it('refuse bits 62..52 as reserved, which 4-level ones ignore', () => {
    for (const [kind, expected] of [
      ['PAE', fault(ERROR.present | ERROR.reserved)],
      ['4-level', DONE],
    ] as const) {
      const paging = new PagingMachine(kind);
      paging.mapPage(PAGE, PAGE_PHYS, P | W | (1n << 52n));
      expect(paging.do('read', PAGE)).toEqual(expected);
    }
  });

  it('are not loaded with a reserved bit in a directory pointer that is present', () => {
    const paging = new PagingMachine('PAE');
    const [pointerAt = 0] = paging.entriesOf(PAGE);
    const pointer = paging.entry(pointerAt);
    paging.setEntry(pointerAt, pointer | W);
    expect(paging.do('load root', paging.root)).toEqual({ kind: 'exception', vector: 13, errorCode: 0, address: 0n });
    paging.setEntry(pointerAt, (pointer | W) & ~P);
    expect(paging.do('load root', paging.root)).toEqual(DONE);
    paging.setEntry(pointerAt, pointer);
  });

  it('begin at any multiple of 32 bytes', () => {
    const paging = new PagingMachine('PAE');
    paging.mapPage(PAGE, PAGE_PHYS, P | W);
    for (let at = 0; at < 32; at += 8) paging.setEntry(paging.root + 0x40 + at, paging.entry(paging.root + at));
    const [pointerAt = 0] = paging.entriesOf(PAGE);
    paging.setEntry(pointerAt, 0n);
    expect(paging.do('load root', paging.root + 0x40)).toEqual(DONE);
    expect(paging.do('read', PAGE)).toEqual(DONE);
    expect(paging.do('load root', paging.root)).toEqual(DONE);
    expect(paging.do('read', PAGE)).toEqual(fault(0));
  });
});
