import type { CpuState } from './cpu-state.js';
import { KERNEL_FETCH, type Mmu, USER_FETCH } from './mmu.js';

const PAGE_BYTES = 4096;
const GIANT_BYTES = 2 ** 21;

/** The pages of user code that were entered under one CR3, and the number by which the jump cache knows them. */
interface Space {
  number: number;
  /** Guest-physical page by virtual page. */
  readonly pages: Map<number, number>;
}

const low = (address: number): number => address >>> 0;
const high = (address: number): number => Math.floor(address / 2 ** 32) >>> 0;

/**
 * Knows which code mappings translated code relies on, and looks again when the guest may have changed them: the user's at each
 * CR3 load and invlpg, the kernel's likewise but by 2 MiB region when it is mapped so.
 */
export class AddressSpaces {
  readonly #cpu: CpuState;
  readonly #mmu: Mmu;
  readonly #spaces = new Map<number, Space>();
  /** Guest-physical address by virtual address, of kernel pages and of 2 MiB regions. */
  readonly #kernel = new Map<number, number>();
  readonly #onKernelChange: () => void;
  #current: Space;
  #nextNumber = 1;

  constructor(cpu: CpuState, mmu: Mmu, onKernelChange: () => void) {
    this.#cpu = cpu;
    this.#mmu = mmu;
    this.#onKernelChange = onKernelChange;
    this.#current = this.#newSpace();
    this.#spaces.set(0, this.#current);
    this.#enter(this.#current);
  }

  #newSpace(): Space {
    return { number: this.#nextNumber++, pages: new Map() };
  }

  #enter(space: Space): void {
    this.#current = space;
    this.#cpu.setU32('space', space.number);
  }

  /** Code at a page was just fetched from this physical page. The walk that found it is the MMU's last one. */
  noteFetch(address: number, phys: number, user: boolean): void {
    const page = Math.floor(address / PAGE_BYTES) * PAGE_BYTES;
    const physPage = phys - (phys % PAGE_BYTES);
    if (user) {
      this.#current.pages.set(page, physPage);
    } else if (this.#mmu.large) {
      const offset = page - Math.floor(page / GIANT_BYTES) * GIANT_BYTES;
      this.#kernel.set(page - offset, physPage - offset);
    } else this.#kernel.set(page, physPage);
  }

  /** After a load of CR3. */
  switched(): void {
    this.#checkKernel();
    const cr3 = this.#cpu.u32('cr3') & 0xfffff000;
    const known = this.#spaces.get(cr3);
    if (known === undefined) {
      const space = this.#newSpace();
      this.#spaces.set(cr3, space);
      this.#enter(space);
      return;
    }
    this.#checkUser(known);
    this.#enter(known);
  }

  /** After invlpg. */
  pageChanged(): void {
    this.#checkKernel();
    this.#checkUser(this.#current);
    this.#enter(this.#current);
  }

  #checkUser(space: Space): void {
    let changed = false;
    for (const [page, phys] of space.pages) {
      if (this.#mmu.walk(low(page), high(page), USER_FETCH, false) === phys) continue;
      changed = true;
      space.pages.delete(page);
    }
    if (changed) space.number = this.#nextNumber++;
  }

  #checkKernel(): void {
    for (const [address, phys] of this.#kernel) {
      if (this.#mmu.walk(low(address), high(address), KERNEL_FETCH, false) === phys) continue;
      this.#kernel.clear();
      this.#onKernelChange();
      return;
    }
  }
}
