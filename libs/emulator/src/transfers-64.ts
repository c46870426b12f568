import type { CpuState } from './cpu-state.js';
import { RF, returnedFlags, TF } from './flags.js';
import { GuestFault, lacks, Vector } from './guest-fault.js';
import { type GuestMemory, halves } from './guest-memory.js';
import { accessKind } from './mmu.js';
import type { Recorder } from './recorder.js';
import { isCode, isCodeOf, isDataOf, isLong, isNull, isPresent, readDescriptor } from './segments.js';

const RCX = 1;
const RSP = 4;
const R11 = 11;
const WORD = 8;
const EFER_SCE = 1n;
const SYSRET_FLAGS = 0x3c7fd7;

/** Far transfers of 64-bit mode: iretq, sysretq, lretq. Each method throws before it changes anything. */
export class Transfers64 {
  readonly #cpu: CpuState;
  readonly #memory: GuestMemory;
  readonly #recorder: Recorder;

  constructor(cpu: CpuState, memory: GuestMemory, recorder: Recorder) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.#recorder = recorder;
  }

  /** iretq (SDM vol. 2): five words, each a reference slot of the block. */
  interruptReturn(): void {
    const cpu = this.#cpu;
    const kind = accessKind(cpu.cpl === 3, false);
    const top = cpu.gpr(RSP);
    const at = (index: number): bigint => BigInt.asUintN(64, top + BigInt(WORD * index));
    const words = [0, 1, 2, 3, 4].map((index) => this.#memory.read(at(index), WORD, kind));
    const [rip = 0n, cs = 0n, flags = 0n, rsp = 0n, ss = 0n] = words;
    const selector = Number(cs & 0xffffn);
    const newCpl = selector & 3;
    const descriptor = readDescriptor(cpu, this.#memory, selector);
    if (!isCodeOf(descriptor, newCpl) || newCpl < cpu.cpl) {
      throw new GuestFault(Vector.generalProtection, selector & ~3);
    }
    if (!isPresent(descriptor)) throw new GuestFault(Vector.segmentNotPresent, selector & ~3);
    if (!isLong(descriptor)) throw lacks('returns to 32-bit code in long mode');
    requireCanonical(rip);
    this.#checkReturnedStack(Number(ss & 0xffffn), newCpl);
    const loaded = Number(flags & 0xffffffffn);
    if ((loaded & TF) !== 0) throw lacks('single-steps (TF)');
    this.#record([0, 1, 2, 3, 4].map(at));
    const changed = returnedFlags(cpu.cpl, cpu.u32('systemFlags'));
    cpu.flags = ((cpu.flags & ~changed) | (loaded & changed)) & ~RF;
    cpu.setSelector('cs', selector);
    cpu.setSelector('ss', Number(ss & 0xffffn));
    cpu.cpl = newCpl;
    cpu.setGpr(RSP, rsp);
    cpu.rip = rip;
  }

  /** A stack segment that iret loads: writable data of the new ring, or none where that is not ring 3 (SDM vol. 2, IRET). */
  #checkReturnedStack(selector: number, newCpl: number): void {
    if (isNull(selector) && newCpl !== 3) return;
    const descriptor = isNull(selector) ? 0n : readDescriptor(this.#cpu, this.#memory, selector);
    if ((selector & 3) !== newCpl || !isDataOf(descriptor, newCpl)) {
      throw new GuestFault(Vector.generalProtection, selector & ~3);
    }
    if (!isPresent(descriptor)) throw new GuestFault(Vector.stackFault, selector & ~3);
  }

  /** The cases of sysretq that generated code leaves: a waiting interrupt, or operands that fault. */
  systemReturn(): void {
    const cpu = this.#cpu;
    if ((cpu.efer & EFER_SCE) === 0n) throw new GuestFault(Vector.undefinedOpcode);
    if (cpu.cpl !== 0) throw new GuestFault(Vector.generalProtection);
    const rip = cpu.gpr(RCX);
    requireCanonical(rip);
    const flags = cpu.gprLow(R11) & SYSRET_FLAGS;
    if ((flags & TF) !== 0) throw lacks('single-steps (TF)');
    const selectors = Number((cpu.star >> 48n) & 0xffffn);
    cpu.flags = flags;
    cpu.setSelector('cs', (selectors + 16) | 3);
    cpu.setSelector('ss', (selectors + 8) | 3);
    cpu.cpl = 3;
    cpu.rip = rip;
  }

  /** A far return of 64-bit operands to the same privilege: how a kernel loads CS after its own GDT (SDM vol. 2, RET). */
  farReturn(): void {
    const cpu = this.#cpu;
    const kind = accessKind(cpu.cpl === 3, false);
    const top = cpu.gpr(RSP);
    const selectorAt = BigInt.asUintN(64, top + BigInt(WORD));
    const rip = this.#memory.read(top, WORD, kind);
    const selector = Number(this.#memory.read(selectorAt, WORD, kind) & 0xffffn);
    const descriptor = readDescriptor(cpu, this.#memory, selector);
    if ((selector & 3) !== cpu.cpl || !isCode(descriptor)) {
      throw new GuestFault(Vector.generalProtection, selector & ~3);
    }
    if (!isPresent(descriptor)) throw new GuestFault(Vector.segmentNotPresent, selector & ~3);
    if (!isLong(descriptor)) throw lacks('returns to 32-bit code in long mode');
    requireCanonical(rip);
    this.#record([top, selectorAt]);
    cpu.setSelector('cs', selector);
    cpu.setGpr(RSP, BigInt.asUintN(64, top + 16n));
    cpu.rip = rip;
  }

  /** Records the guest-physical addresses of the words that an instruction reads: its reference slots. */
  #record(addresses: readonly bigint[]): void {
    if (!this.#recorder.enabled) return;
    for (const address of addresses) {
      const [low, high] = halves(address);
      this.#recorder.address(this.#memory.translate(low, high, accessKind(this.#cpu.cpl === 3, false)));
    }
  }
}

const requireCanonical = (rip: bigint): void => {
  if (BigInt.asUintN(64, BigInt.asIntN(48, rip)) !== rip) throw new GuestFault(Vector.generalProtection);
};
