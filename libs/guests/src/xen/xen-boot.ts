import type { Machine } from '@pvtrail/emulator';
import { AppError } from '@pvtrail/primitives';
import type { ElfImage } from '../elf.js';
import { requireSymbol } from '../native-boot.js';
import { MachineFrames } from './frames.js';
import { PageTables } from './page-tables.js';
import { XenHypervisor } from './xen-hypervisor.js';

const PAGE = 4096;
const DIRECT_MAP = 0xffff880000000000n;
const KERNEL_WINDOW = 0xffffffff80000000n;
const START_INFO = 0xa000;
const BOOT_PARAMETERS = 0x9000;
const FRAME_LIST = 0x10000;
const RESERVED_END = 0x100000;
const MAX_RAM = 128 << 20;

const TABLE = 0x67n;
const PAGE_WRITABLE = 0x63n;
const PAGE_READ_ONLY = 0x61n;

const RSP = 4;
const RSI = 6;
const RDI = 7;

/** Frames behind the guest's RAM that the hypervisor uses: its tables, the shared page, the table from machine to guest frames. */
export const XEN_OWN_BYTES = 1 << 20;

/**
 * Does what the domain builder does (docs/adr/007): image, frame list, start information and initial tables over permuted frames.
 * The machine has XEN_OWN_BYTES more than the guest's `ramBytes`.
 * @throws AppError `image/corrupt`, `input/unsupported-combination` for more RAM than the loader's area maps
 */
export const loadXen64 = (machine: Machine, elf: ElfImage, ramBytes: number, seed: number): XenHypervisor => {
  if (ramBytes > MAX_RAM) {
    throw new AppError('input/unsupported-combination', `a Xen guest has at most ${MAX_RAM} bytes of RAM`);
  }
  return new Builder(machine, elf, ramBytes, seed).build();
};

class Builder {
  readonly #view: DataView;
  readonly #frames: MachineFrames;
  readonly #own: number;
  #nextTable: number;
  /** Guest frames that hold tables: mapped read-only. */
  readonly #tables = new Set<number>();

  constructor(
    private readonly machine: Machine,
    private readonly elf: ElfImage,
    ramBytes: number,
    seed: number,
  ) {
    const { ram } = machine;
    this.#view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
    const first = Math.min(...elf.segments.map(({ phys }) => phys >>> 12));
    const end = Math.max(...elf.segments.map(({ phys, memoryBytes }) => Math.ceil((phys + memoryBytes) / PAGE)));
    this.#frames = new MachineFrames(ramBytes / PAGE, seed, { first, count: end - first });
    this.#own = ramBytes / PAGE;
    this.#nextTable = FRAME_LIST / PAGE + Math.ceil((8 * this.#own) / PAGE);
  }

  build(): XenHypervisor {
    this.#copyImage();
    for (let frame = 0; frame < this.#own; frame += 1) {
      this.#put(FRAME_LIST + 8 * frame, BigInt(this.#frames.machineOf[frame] ?? 0));
    }
    const root = Number(requireSymbol(this.elf, 'boot_pgd') - KERNEL_WINDOW) / PAGE;
    const tables = this.#initialTables(root);
    this.#startInformation(tables);
    return this.#start(root);
  }

  #machineAddress(phys: number): number {
    return (this.#frames.machineOf[phys >>> 12] ?? 0) * PAGE + (phys & (PAGE - 1));
  }

  #put(phys: number, value: bigint): void {
    this.#view.setBigUint64(this.#machineAddress(phys), value, true);
  }

  /** The image's frames lie next to each other in the machine too. */
  #copyImage(): void {
    for (const { phys, bytes } of this.elf.segments) this.machine.ram.set(bytes, this.#machineAddress(phys));
  }

  /** Returns the number of table frames below the root. */
  #initialTables(root: number): number {
    const first = this.#nextTable;
    this.#tables.add(root);
    const leaves: { table: number; index: number; frame: number }[] = [];
    const map = (address: bigint, frame: number): void => {
      const table = [39n, 30n, 21n].reduce((at, shift) => this.#below(at, indexAt(address, shift)), root);
      leaves.push({ table, index: indexAt(address, 12n), frame });
    };
    for (let frame = 0; frame < this.#own; frame += 1) map(DIRECT_MAP + BigInt(frame * PAGE), frame);
    for (const { virt, phys, memoryBytes } of this.elf.segments) {
      for (let offset = 0; offset < memoryBytes; offset += PAGE) {
        map((virt + BigInt(offset)) & ~0xfffn, (phys + offset) >>> 12);
      }
      map((virt + BigInt(memoryBytes - 1)) & ~0xfffn, (phys + memoryBytes - 1) >>> 12);
    }
    for (const { table, index, frame } of leaves) {
      const flags = this.#tables.has(frame) ? PAGE_READ_ONLY : PAGE_WRITABLE;
      this.#put(table * PAGE + 8 * index, this.#entry(frame, flags));
    }
    if (this.#nextTable * PAGE > RESERVED_END) throw new Error('the initial tables do not fit below 1 MiB');
    return this.#nextTable - first;
  }

  #entry(frame: number, flags: bigint): bigint {
    return BigInt(this.#machineAddress(frame * PAGE)) | flags;
  }

  #below(table: number, index: number): number {
    const at = this.#machineAddress(table * PAGE + 8 * index);
    const known = this.#view.getBigUint64(at, true);
    if (known !== 0n) return this.#frames.guestOf[Number(known >> 12n)] ?? 0;
    const made = this.#nextTable++;
    this.#tables.add(made);
    this.#view.setBigUint64(at, this.#entry(made, TABLE), true);
    return made;
  }

  #startInformation(tables: number): void {
    this.#put(START_INFO + 32, BigInt(this.#own));
    this.#put(START_INFO + 40, BigInt((this.#own + 1) * PAGE));
    this.#put(START_INFO + 88, requireSymbol(this.elf, 'boot_pgd'));
    this.#put(START_INFO + 96, BigInt(tables));
    this.#put(START_INFO + 104, DIRECT_MAP + BigInt(FRAME_LIST));
  }

  #start(rootFrame: number): XenHypervisor {
    const { machine } = this;
    const root = this.#frames.machineOf[rootFrame] ?? 0;
    const tables = new PageTables(machine.ram, this.#own, this.#ownTables());
    tables.pin(root, 4);
    const hypervisor = new XenHypervisor(machine, tables, this.#frames, { root, sharedFrame: this.#own + 1 });
    hypervisor.start(this.elf.entry);
    machine.cpu.setGpr(RSP, requireSymbol(this.elf, 'boot_stack_top'));
    machine.cpu.setGpr(RDI, DIRECT_MAP + BigInt(BOOT_PARAMETERS));
    machine.cpu.setGpr(RSI, DIRECT_MAP + BigInt(START_INFO));
    return hypervisor;
  }

  /** The hypervisor's tables: level 3, 2 and 1 behind its slot, with the table from machine to guest frames. Returns the slot's entry. */
  #ownTables(): bigint {
    const [level3, level2, level1] = [this.#own + 2, this.#own + 3, this.#own + 4];
    const list = this.#own + 8;
    const put = (frame: number, index: number, value: bigint): void =>
      this.#view.setBigUint64(frame * PAGE + 8 * index, value, true);
    put(level3, 0, BigInt(level2 * PAGE) | TABLE);
    put(level2, 0, BigInt(level1 * PAGE) | TABLE);
    for (let page = 0; page < Math.ceil((8 * this.#own) / PAGE); page += 1) {
      put(level1, page, BigInt((list + page) * PAGE) | PAGE_READ_ONLY);
    }
    for (let frame = 0; frame < this.#own; frame += 1) put(list, frame, BigInt(this.#frames.guestOf[frame] ?? 0));
    return BigInt(level3 * PAGE) | TABLE;
  }
}

const indexAt = (address: bigint, shift: bigint): number => Number((address >> shift) & 511n);
