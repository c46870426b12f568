import { beforeEach, describe, expect, it } from 'vitest';
import { type Level, PageTables } from './page-tables.js';

const FRAMES = 16;
const OWN_FRAME = 99n;
const OWN_ENTRY = (OWN_FRAME << 12n) | 7n;
const OWN_SLOT = 256;

const [PRESENT, WRITABLE, USER, LARGE] = [1n, 2n, 4n, 0x80n];

/** Frames of a small address space: a root and the tables below it, and a page. */
const [ROOT, L3, L2, L1, PAGE] = [1, 2, 3, 4, 5];

let memory: DataView;
let tables: PageTables;

const put = (frame: number, index: number, target: number, flags: bigint): void =>
  memory.setBigUint64(frame * 4096 + 8 * index, (BigInt(target) << 12n) | flags, true);
const entry = (target: number, flags: bigint): bigint => (BigInt(target) << 12n) | flags;

/** A root that maps one page at slot 0 of each level. */
const build = (flags = PRESENT | WRITABLE): void => {
  put(ROOT, 0, L3, PRESENT | WRITABLE);
  put(L3, 0, L2, PRESENT | WRITABLE);
  put(L2, 0, L1, PRESENT | WRITABLE);
  put(L1, 0, PAGE, flags);
};

const refused = (action: () => void): string => {
  try {
    action();
  } catch (error) {
    expect(error).toMatchObject({ code: 'guest/failed' });
    return (error as Error).message;
  }
  throw new Error('it was not refused');
};

beforeEach(() => {
  const ram = new Uint8Array(FRAMES * 4096);
  memory = new DataView(ram.buffer);
  tables = new PageTables(ram, FRAMES, OWN_ENTRY);
});

describe('a pinned root', () => {
  beforeEach(() => {
    build();
    tables.pin(ROOT, 4);
  });

  it('makes tables of all frames below it, each of its level, and of no page', () => {
    expect([ROOT, L3, L2, L1, PAGE].map((frame) => tables.levelOf(frame))).toEqual([4, 3, 2, 1, 0]);
  });

  it('has user entries at every level, because kernel and processes share a ring', () => {
    for (const frame of [ROOT, L3, L2, L1]) expect(tables.read(frame, 0) & USER).toBe(USER);
    expect(tables.read(L1, 1)).toBe(0n);
  });

  it('has the entries of the hypervisor in its slots', () => {
    expect(tables.read(ROOT, OWN_SLOT)).toBe(OWN_ENTRY);
    expect(tables.read(ROOT, OWN_SLOT + 1)).toBe(0n);
  });

  it('gives all its frames back when it is unpinned', () => {
    tables.unpin(ROOT);
    expect([ROOT, L3, L2, L1].map((frame) => tables.levelOf(frame))).toEqual([0, 0, 0, 0]);
    tables.pin(PAGE, 1);
    expect(tables.levelOf(PAGE)).toBe(1);
  });

  it('keeps a table that another one uses too', () => {
    put(6, 0, L2, PRESENT);
    tables.pin(6, 3);
    tables.unpin(ROOT);
    expect([L3, L2, L1].map((frame) => tables.levelOf(frame))).toEqual([0, 2, 1]);
  });

  it('counts the writable mappings of a page', () => {
    tables.write(L1, 7, entry(PAGE, PRESENT | WRITABLE));
    tables.write(L1, 0, 0n);
    expect(refused(() => tables.pin(PAGE, 1))).toMatch('table 0x5 of level 1 is writable');
    tables.write(L1, 7, entry(PAGE, PRESENT));
    tables.pin(PAGE, 1);
  });

  it.each<[string, () => void, RegExp]>([
    [
      'a frame that is not the guest’s',
      () => tables.write(L1, 1, entry(FRAMES, PRESENT)),
      /frame 0x10 is not the guest's/,
    ],
    ['a frame far beyond', () => tables.write(L1, 1, PRESENT | 0x000ffffffffff000n), /is not the guest's/],
    [
      'a writable mapping of a table',
      () => tables.write(L1, 1, entry(L2, PRESENT | WRITABLE)),
      /makes a table writable/,
    ],
    [
      'a writable mapping of itself',
      () => tables.write(L1, 1, entry(L1, PRESENT | WRITABLE)),
      /makes a table writable/,
    ],
    ['a large page', () => tables.write(L2, 1, entry(6, PRESENT | LARGE)), /maps a large page/],
    [
      'a table of another level',
      () => tables.write(L2, 1, entry(L3, PRESENT)),
      /frame 0x2 is a table of level 3, not 1/,
    ],
    [
      'a page that is writable as a table',
      () => tables.write(L2, 1, entry(PAGE, PRESENT)),
      /table 0x5 of level 1 is writable/,
    ],
    ['a slot of the hypervisor', () => tables.write(ROOT, OWN_SLOT, 0n), /slot 256 of a root is the hypervisor's/],
    ['an entry of a frame that is no table', () => tables.write(PAGE, 0, 0n), /frame 0x5 is no table/],
    ['an entry of a frame that does not exist', () => tables.write(1000, 0, 0n), /frame 0x3e8 is no table/],
    ['the pin of a pinned table', () => tables.pin(ROOT, 4), /frame 0x1 is pinned already/],
    ['the pin of a table as of another level', () => tables.pin(L1, 2), /frame 0x4 is a table of level 1, not 2/],
    ['the pin of a frame that is not the guest’s', () => tables.pin(FRAMES, 1), /frame 0x10 is not the guest's/],
    ['unpinning a table that is none', () => tables.unpin(PAGE), /frame 0x5 is not pinned/],
    ['unpinning a table that only others use', () => tables.unpin(L1), /frame 0x4 is not pinned/],
    ['descriptors in a table', () => tables.takeDescriptors(L1), /frame 0x4 of descriptors is a table/],
    ['descriptors in a writable page', () => tables.takeDescriptors(PAGE), /the descriptor table is writable/],
    ['descriptors in a frame that is not the guest’s', () => tables.takeDescriptors(FRAMES), /is not the guest's/],
    ['a descriptor in a frame without', () => tables.writeDescriptor(0x5000n, 1n), /frame 0x5 holds no descriptors/],
    [
      'a descriptor in a frame that does not exist',
      () => tables.writeDescriptor(1n << 50n, 1n),
      /holds no descriptors/,
    ],
  ])('refuses %s, and changes nothing', (_, action, message) => {
    const before = new Uint8Array(memory.buffer.slice(0));
    expect(refused(action)).toMatch(message);
    expect(new Uint8Array(memory.buffer)).toEqual(before);
    expect([ROOT, L3, L2, L1, PAGE].map((frame) => tables.levelOf(frame))).toEqual([4, 3, 2, 1, 0]);
  });
});

describe('a root is not pinned', () => {
  it.each<[string, Level, number, number, bigint, RegExp]>([
    ['its table is writable', 1, L1, L1, PRESENT | WRITABLE, /makes a table writable/],
    ['a frame of it is not the guest’s', 1, L1, 500, PRESENT, /is not the guest's/],
    ['it maps a large page', 2, L2, PAGE, PRESENT | LARGE, /maps a large page/],
    ['it is its own table', 3, L3, L3, PRESENT, /frame 0x2 is a table of level 3, not 2/],
  ])('when %s', (_, level, frame, target, flags, message) => {
    put(frame, 0, target, flags);
    expect(refused(() => tables.pin(frame, level))).toMatch(message);
  });
});

describe('a frame of descriptors', () => {
  beforeEach(() => {
    build(PRESENT);
    tables.pin(ROOT, 4);
    tables.takeDescriptors(6);
  });

  it('is mapped read-only, and changed by the hypervisor', () => {
    expect(refused(() => tables.write(L1, 1, entry(6, PRESENT | WRITABLE)))).toMatch('makes a table writable');
    tables.write(L1, 1, entry(6, PRESENT));
    tables.writeDescriptor(0x6008n, 0x1234n);
    expect(memory.getBigUint64(0x6008, true)).toBe(0x1234n);
  });

  it('is no table', () => {
    expect(refused(() => tables.write(6, 0, 0n))).toMatch('frame 0x6 is no table');
    expect(refused(() => tables.pin(6, 1))).toMatch('frame 0x6 is a table of level 5, not 1');
  });
});
