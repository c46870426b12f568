import type { Runtime } from './runtime-module.js';

/** What assembly/ exports; numbers are u32 unless said otherwise. */
export interface EmulatorKernel {
  /** Runs generated code from a table slot until it leaves for something that only JavaScript can do. */
  run(slot: number): void;
  /** (address i64, site i32) → WebAssembly address, 0 = leave; called by generated code. */
  readonly miss: WebAssembly.ExportValue;
  /** (selector register i32, selector i32) → 0 = leave; called by generated code. */
  readonly loadSegment: WebAssembly.ExportValue;
  setRecording(on: number): void;
  setBits(bits: number): void;
  /** 0 when a load of CR3 with this value faults. */
  isRoot(cr3: bigint): number;
  setRamBytes(bytes: number): void;
  /** Guest-physical address, or FAULT or NO_MEMORY (negative). */
  walkHalves(low: number, high: number, kind: number, marks: number): number;
  fill(user: number, address: bigint, phys: number): number;
  flushAll(): void;
  protect(physPage: number): void;
  unprotect(physPage: number): void;
  readonly errorCode: WebAssembly.Global;
  /** i64: the physical address where nothing is. */
  readonly beyond: WebAssembly.Global;
  resetSpaces(): void;
  pagingChanged(): void;
  loadPageTables(cr3: bigint): void;
  switchPageTables(cr3: bigint): void;
  flushPageHalves(low: number, high: number): void;
  invalidatePageHalves(low: number, high: number): void;
  noteFetch(low: number, high: number, phys: number, user: number): void;
  /** The fuel of user-mode instructions is used up. */
  fuelEmpty(): void;
  /** Lets interrupt 0x20 + `line` wait. */
  request(line: number): void;
  setTimer(period: number): void;
  /** 0 when the timer is off. */
  skipToTimer(): number;
  /** Retired instructions of the event column's words from one address to another. */
  countInstructions(from: number, to: number): number;
  readonly kernelChanged: WebAssembly.Global;
  acknowledgeKernelChange(): void;
}

/** Called by the kernel for what it does not do itself; the address comes in halves. */
export interface KernelScript {
  miss(low: number, high: number, site: number): number;
}

export const instantiateKernel = (
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  { helpers }: Runtime,
  script: KernelScript,
): EmulatorKernel => {
  const { exports } = new WebAssembly.Instance(module, {
    env: { memory },
    runtime: helpers,
    script: { miss: script.miss },
  });
  return exports as unknown as EmulatorKernel;
};
