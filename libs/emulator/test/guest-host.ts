import { Machine, type MachineExit } from '../src/index.js';
import { loadEmulatorKernel } from '../src/node.js';
import { type Area, areasOf, PAGE_BYTES } from './areas.js';
import type { Bits } from './assembler.js';
import type { Batch, Case } from './batch.js';
import type { Outcome } from './native-host.js';

const RAM_BYTES = 16 << 20;
const TABLES_AT = 0x10000;
const FIRST_FRAME = 0x100000;
const FRAMES = 512;
/** Odd, so that multiples of it modulo FRAMES are all different: neighbouring pages lie apart in RAM. */
const FRAME_STRIDE = 0x9d;

const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const NO_EXECUTE = 1n << 63n;
const CR0_PE_MP_ET_NE_WP_PG = 0x80010033n;
const CR4_PSE_PAE_PGE = 0xb0n;
const EFER_SCE_LME_LMA_NXE = 0xd01n;
const EFER_NXE = 0x800n;
const FOUR_GIB = 1n << 32n;
/** Of all cases of a machine; one that does not end uses it up within a second. */
const BUDGET = 100_000_000;
const VECTOR_NONE = 254;
const KERNEL_CODE = 0x10;
const KERNEL_DATA = 0x18;
const USER_CODE = 0x33;
const USER_DATA = 0x2b;

interface MappedPage {
  readonly virt: bigint;
  readonly phys: number;
}

/** Writes page tables into RAM: 4-level ones (Intel SDM vol. 3A §4.5), or PAE ones (§4.4). */
class PageTables {
  #next = TABLES_AT;
  readonly root: number;

  constructor(
    readonly view: DataView,
    readonly bits: Bits,
  ) {
    this.root = this.#newTable();
  }

  #newTable(): number {
    const at = this.#next;
    this.#next += PAGE_BYTES;
    return at;
  }

  map(virt: bigint, phys: number, flags: bigint): void {
    let table = this.root;
    for (const shift of this.bits === 64 ? [39n, 30n, 21n] : [30n, 21n]) {
      const entry = table + Number((virt >> shift) & 0x1ffn) * 8;
      const rights = this.bits === 32 && shift === 30n ? PRESENT : PRESENT | WRITABLE | USER;
      if (this.view.getBigUint64(entry, true) === 0n)
        this.view.setBigUint64(entry, BigInt(this.#newTable()) | rights, true);
      table = Number(this.view.getBigUint64(entry, true) & 0xffffff000n);
    }
    this.view.setBigUint64(table + Number((virt >> 12n) & 0x1ffn) * 8, BigInt(phys) | flags, true);
  }
}

/** The production translator, running the cases of batches behind real page tables. Kernel-mode pages are not the user's. */
export class GuestHost {
  #machine: Machine;
  #view: DataView;
  readonly #pages = new Map<string, MappedPage[]>();

  constructor(
    readonly bits: Bits,
    readonly cpl: 0 | 3,
    readonly record: boolean,
  ) {
    this.#machine = this.#newMachine();
    this.#view = this.#boot();
  }

  #newMachine(): Machine {
    const { bits, record } = this;
    return new Machine({
      kernel: loadEmulatorKernel(),
      ramBytes: RAM_BYTES,
      bits,
      record,
      exceptionsExit: true,
      instructionBudget: BUDGET,
    });
  }

  /** Maps the areas and enters the mode. */
  #boot(): DataView {
    const { ram, cpu } = this.#machine;
    const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
    const tables = new PageTables(view, this.bits);
    let frame = 1;
    for (const area of areasOf(this.bits)) {
      const pages = Array.from({ length: area.pages }, (_, i) => {
        const phys = FIRST_FRAME + ((frame++ * FRAME_STRIDE) % FRAMES) * PAGE_BYTES;
        return { virt: area.address + BigInt(i * PAGE_BYTES), phys };
      });
      for (const { virt, phys } of pages) tables.map(virt, phys, this.#pageFlags(area));
      this.#pages.set(area.name, pages);
    }
    cpu.cr0 = CR0_PE_MP_ET_NE_WP_PG;
    cpu.cr4 = CR4_PSE_PAE_PGE;
    cpu.efer = this.bits === 64 ? EFER_SCE_LME_LMA_NXE : EFER_NXE;
    cpu.cr3 = BigInt(tables.root);
    cpu.cpl = this.cpl;
    cpu.setSelector('cs', this.cpl === 3 ? USER_CODE : KERNEL_CODE);
    cpu.setSelector('ss', this.cpl === 3 ? USER_DATA : KERNEL_DATA);
    return view;
  }

  #pageFlags({ writable, executable }: Area): bigint {
    return PRESENT | (this.cpl === 3 ? USER : 0n) | (writable ? WRITABLE : 0n) | (executable ? 0n : NO_EXECUTE);
  }

  run(batch: Batch): Outcome[] {
    this.#load(batch);
    return batch.cases.map((testCase) => {
      const outcome = this.#runCase(batch, testCase);
      if (outcome.failure !== undefined) this.#renew(batch);
      return outcome;
    });
  }

  /** A machine that failed is not used again. */
  #renew(batch: Batch): void {
    this.#machine = this.#newMachine();
    this.#view = this.#boot();
    this.#load(batch);
  }

  #load(batch: Batch): void {
    const { ram } = this.#machine;
    let data = 0;
    for (const area of areasOf(batch.bits)) {
      const contents = area.name === 'code' ? batch.code : batch.contents[data++];
      this.#pages.get(area.name)?.forEach(({ phys }, i) => {
        const page = contents?.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES) ?? new Uint8Array(PAGE_BYTES);
        if (area.name === 'code') this.#machine.writeText(phys, page);
        else ram.set(page, phys);
      });
    }
  }

  #runCase(batch: Batch, { region, state }: Case): Outcome {
    const { cpu } = this.#machine;
    state.gpr.forEach((value, number) => {
      cpu.setGpr(number, value);
    });
    cpu.rflags = state.rflags;
    cpu.rip = BigInt(batch.regions[region]?.placed.address ?? 0);
    cpu.gsBase = batch.gsBase;
    cpu.setU64('gsEnd', FOUR_GIB);
    const exception = exceptionOf(() => this.#machine.run());
    const gpr = state.gpr.map((_, number) => cpu.gpr(number));
    return { ...exception, rip: cpu.rip, rflags: cpu.rflags, gpr, changes: this.#changes(batch) };
  }

  /** The changed words of the writable areas, which are put back. */
  #changes(batch: Batch): Outcome['changes'] {
    const { ram } = this.#machine;
    const changes: { address: bigint; value: bigint }[] = [];
    let data = 0;
    for (const area of areasOf(batch.bits)) {
      if (area.name === 'code') continue;
      const contents = batch.contents[data++] ?? new Uint8Array(0);
      this.#pages.get(area.name)?.forEach(({ virt, phys }, i) => {
        const pristine = contents.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
        const live = ram.subarray(phys, phys + PAGE_BYTES);
        if (Buffer.compare(live, pristine) === 0) return;
        const before = new DataView(pristine.buffer, pristine.byteOffset, PAGE_BYTES);
        for (let at = 0; at < PAGE_BYTES; at += 8) {
          const value = this.#view.getBigUint64(phys + at, true);
          if (value !== before.getBigUint64(at, true)) changes.push({ address: virt + BigInt(at), value });
        }
        live.set(pristine);
      });
    }
    return changes;
  }
}

/** How a run ended; a translator that throws is a failure of the case, not of the test. */
function exceptionOf(run: () => MachineExit): Pick<Outcome, 'vector' | 'errorCode' | 'cr2' | 'failure'> {
  const none = { vector: VECTOR_NONE, errorCode: 0, cr2: 0n };
  try {
    const exit = run();
    if (exit.kind === 'exception') return { vector: exit.vector, errorCode: exit.errorCode, cr2: exit.address };
    return { ...none, failure: exit.kind === 'failed' ? exit.failure.message : `ended by ${exit.kind}` };
  } catch (error) {
    return { ...none, failure: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  }
}
