import { GuestFault, Vector } from './guest-fault.js';
import { type AccessKind, isCanonical, type Mmu } from './mmu.js';
import { REGION } from './state-layout.js';

/** Reads and writes of guest memory by the CPU itself: descriptor tables, interrupt frames, helper routines. */
export class GuestMemory {
  readonly #mmu: Mmu;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #onProtectedStore: (phys: number, length: number) => void;

  constructor(memory: WebAssembly.Memory, mmu: Mmu, onProtectedStore: (phys: number, length: number) => void) {
    this.#mmu = mmu;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#onProtectedStore = onProtectedStore;
  }

  /** Guest-physical address of a virtual one. @throws GuestFault */
  translate(low: number, high: number, kind: AccessKind): number {
    if (!isCanonical(high)) throw new GuestFault(Vector.generalProtection);
    const phys = this.#mmu.walk(low, high, kind, true);
    if (phys < 0) throw new GuestFault(Vector.pageFault, this.#mmu.errorCode, low, high);
    return phys;
  }

  /** WebAssembly addresses of the bytes of an access that may cross a page. */
  #parts(address: bigint, length: number, kind: AccessKind): { at: number; length: number }[] {
    const [low, high] = halves(address);
    const first = Math.min(length, 4096 - (low & 0xfff));
    const parts = [{ at: REGION.ram + this.translate(low, high, kind), length: first }];
    if (first < length) {
      const [nextLow, nextHigh] = halves(address + BigInt(first));
      parts.push({ at: REGION.ram + this.translate(nextLow, nextHigh, kind), length: length - first });
    }
    return parts;
  }

  /** Little-endian bytes as a number of up to 64 bits. @throws GuestFault */
  read(address: bigint, length: number, kind: AccessKind): bigint {
    const [only, second] = this.#parts(address, length, kind);
    if (only !== undefined && second === undefined && length === 8) return this.#view.getBigUint64(only.at, true);
    let value = 0n;
    let shift = 0n;
    for (const part of [only, second]) {
      if (part === undefined) continue;
      for (let offset = 0; offset < part.length; offset += 1) {
        value |= BigInt(this.#bytes[part.at + offset] ?? 0) << shift;
        shift += 8n;
      }
    }
    return value;
  }

  /** @throws GuestFault before anything is written */
  write(address: bigint, length: number, value: bigint, kind: AccessKind): void {
    let rest = value;
    for (const part of this.#parts(address, length, kind)) {
      for (let offset = 0; offset < part.length; offset += 1) {
        this.#bytes[part.at + offset] = Number(rest & 0xffn);
        rest >>= 8n;
      }
      const phys = part.at - REGION.ram;
      if (this.#mmu.isProtected(phys >>> 12)) this.#onProtectedStore(phys, part.length);
    }
  }
}

/** Faster than shifting the bigint, which allocates. */
const word = new DataView(new ArrayBuffer(8));

export const halves = (address: bigint): [low: number, high: number] => {
  word.setBigUint64(0, address);
  return [word.getUint32(4), word.getUint32(0)];
};
