import { Machine, type MachineExit } from '../src/index.js';
import { loadEmulatorKernel } from '../src/node.js';

/** The three kinds of page tables (Intel SDM vol. 3A §4.3–§4.5). */
export type Kind = '2-level' | 'PAE' | '4-level';
export const KINDS: readonly Kind[] = ['2-level', 'PAE', '4-level'];

// Bits of an entry.
export const P = 1n;
export const W = 2n;
export const U = 4n;
export const ACCESSED = 0x20n;
export const DIRTY = 0x40n;
export const LARGE = 0x80n;
export const GLOBAL = 0x100n;
export const NX = 1n << 63n;

/** The page and the large page that tests look at; both are apart from the code, and mapped nowhere else. */
export const PAGE = 0x40000000;
export const LARGE_PAGE = 0x40800000;
export const PAGE_PHYS = 0x100000;
export const OTHER_PHYS = 0x101000;
export const LARGE_PHYS = 0x400000;
export const OTHER_LARGE_PHYS = 0x800000;

const RAM_BYTES = 12 << 20;
const ROOT = 0x2000;
const FIRST_TABLE = 0x3000;
const STUBS = 0x8000;
const STACK_TOP = 0xf000;
/** int3; jmp to itself: nothing is behind it that the translator would look at. */
const END = [0xcc, 0xeb, 0xfe];
const CR0_WP = 0x10000n;
const CR0 = 0x80000033n;
const CR4_PSE = 0x10n;
const CR4_PAE = 0x20n;
const CR4_PGE = 0x80n;
const EFER_NXE = 0x800n;
const EFER_LMA_LME = 0x500n;

/** What the CPU does at an address: code with the address in ecx (rcx), that ends with int3. */
const ACTIONS = {
  read: [0x8b, 0x01],
  write: [0x89, 0x01],
  /** jmp ecx: to an int3. */
  fetch: [0xff, 0xe1],
  invalidate: [0x0f, 0x01, 0x39],
  /** mov cr3, ecx */
  'load root': [0x0f, 0x22, 0xd9],
  /** mov cr4, ecx */
  'write cr4': [0x0f, 0x22, 0xe1],
} as const;

export type Action = keyof typeof ACTIONS;
const STUB_BYTES = 16;

/** A machine behind page tables of one kind, built as the tests want them. */
export class PagingMachine {
  readonly machine: Machine;
  readonly view: DataView;
  readonly bits: 32 | 64;
  /** Bytes of an entry. */
  readonly width: 4 | 8;
  #nextTable = FIRST_TABLE;

  constructor(
    readonly kind: Kind,
    { writeProtect = true, noExecute = kind !== '2-level', pageSizeExtension = true } = {},
  ) {
    this.bits = kind === '4-level' ? 64 : 32;
    this.width = kind === '2-level' ? 4 : 8;
    this.machine = new Machine({
      kernel: loadEmulatorKernel(),
      ramBytes: RAM_BYTES,
      bits: this.bits,
      record: false,
      exceptionsExit: true,
    });
    const { cpu, ram } = this.machine;
    this.view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
    for (let at = 0; at < 0x20; at += 1) this.mapPage(0x1000 * at, 0x1000 * at, P | W | U);
    cpu.cr0 = writeProtect ? CR0 | CR0_WP : CR0;
    cpu.cr4 = CR4_PGE | (pageSizeExtension ? CR4_PSE : 0n) | (kind === '2-level' ? 0n : CR4_PAE);
    cpu.efer = (kind === '4-level' ? EFER_LMA_LME : 0n) | (noExecute ? EFER_NXE : 0n);
    cpu.cr3 = BigInt(ROOT);
    for (const [index, code] of Object.values(ACTIONS).entries()) {
      this.machine.writeText(STUBS + STUB_BYTES * index, Uint8Array.from([...code, ...END]));
    }
    this.machine.writeText(PAGE_PHYS, Uint8Array.from(END));
  }

  /** Bits of an address that each level's index is taken from, from the root on: the lowest one, and how many. */
  get #levels(): readonly (readonly [number, number])[] {
    const last = [
      [21, 9],
      [12, 9],
    ] as const;
    if (this.kind === '2-level') {
      return [
        [22, 10],
        [12, 10],
      ];
    }
    return this.kind === 'PAE' ? [[30, 2], ...last] : [[39, 9], [30, 9], ...last];
  }

  /** Guest-physical addresses of the entries on the way to a page, from the root on; tables that are missing are made. */
  entriesOf(virt: number, depth = this.#levels.length): number[] {
    const entries: number[] = [];
    let table = ROOT;
    for (const [level, [shift, bits]] of this.#levels.slice(0, depth).entries()) {
      const at = table + (Math.floor(virt / 2 ** shift) % 2 ** bits) * this.width;
      entries.push(at);
      if (level === depth - 1) break;
      if (this.entry(at) === 0n) this.setEntry(at, BigInt(this.#newTable()) | this.#upperRights(level));
      table = Number(this.entry(at) & 0xfffff000n);
    }
    return entries;
  }

  /** Entries of PAE's directory pointers have no rights. */
  #upperRights(level: number): bigint {
    return this.kind === 'PAE' && level === 0 ? P : P | W | U;
  }

  #newTable(): number {
    const at = this.#nextTable;
    this.#nextTable += 0x1000;
    return at;
  }

  entry(at: number): bigint {
    return this.width === 4 ? BigInt(this.view.getUint32(at, true)) : this.view.getBigUint64(at, true);
  }

  setEntry(at: number, value: bigint): void {
    if (this.width === 4) this.view.setUint32(at, Number(value), true);
    else this.view.setBigUint64(at, value, true);
  }

  mapPage(virt: number, phys: number, flags: bigint): void {
    this.setEntry(this.entriesOf(virt).at(-1) ?? 0, BigInt(phys) | flags);
  }

  /** Maps 2 MiB, or 4 MiB behind 2-level tables; returns where the entry lies. */
  mapLarge(virt: number, phys: number, flags: bigint): number {
    const at = this.entriesOf(virt, this.#levels.length - 1).at(-1) ?? 0;
    this.setEntry(at, BigInt(phys) | flags | LARGE);
    return at;
  }

  /** Does one thing at an address (or with a value) on a privilege level. An int3 is its good end: vector 3. */
  do(action: Action, value: number, cpl: 0 | 3 = 0): MachineExit {
    const { cpu } = this.machine;
    cpu.cpl = cpl;
    cpu.setGpr(1, BigInt(value));
    cpu.setGpr(4, BigInt(STACK_TOP));
    cpu.rip = BigInt(STUBS + STUB_BYTES * Object.keys(ACTIONS).indexOf(action));
    return this.machine.run();
  }

  /** What a read of 32 bits gives. */
  read(address: number, cpl: 0 | 3 = 0): number {
    const exit = this.do('read', address, cpl);
    if (exit.kind !== 'exception' || exit.vector !== 3)
      throw new Error(`the read ended as ${JSON.stringify(exit.kind)}`);
    return this.machine.cpu.gprLow(0);
  }

  get root(): number {
    return ROOT;
  }
}
