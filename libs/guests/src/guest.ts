import { type GuestFailure, Machine, type MachineShape, type RawSink } from '@pvtrail/emulator';
import { AppError, type GuestVirt, guestVirt } from '@pvtrail/primitives';
import { type CallSite, editInPlace, type TextEdit } from '@pvtrail/pvops';
import { BOOT_PARAMETERS_PHYS, type BootParameters, writeBootParameters } from './boot-parameters.js';
import { readCallSiteRecords } from './call-site-records.js';
import { type ElfImage, physicalOf } from './elf.js';
import { loadNative, requireSymbol } from './native-boot.js';
import { loadXen64, XEN_OWN_BYTES } from './xen/xen-boot.js';
import type { XenHypervisor } from './xen/xen-hypervisor.js';

/** Of the console's end that a failure quotes. */
const CONSOLE_CHARACTERS = 500;

const PAGE_BYTES = 4096;

/** Codes that guests report at port 0xE0 (docs/adr/001). */
const MARKER = { booted: 1, workloadStarted: 2, workloadFinished: 3 } as const;

export interface GuestOptions {
  /** The guest kernel with its stage's optimisations folded in. */
  readonly image: ElfImage;
  /** What the image was built for. */
  readonly guestType?: 'native' | 'xen';
  /** A machine that no other guest uses any more (its translated code helps this one), or the emulator's compiled kernel to build one. */
  readonly machine: Machine | WebAssembly.Module;
  readonly parameters: BootParameters;
  /** The guest has failed when it retires more instructions than this. */
  readonly instructionBudget: number;
  /** Receives the raw columns; without it nothing is recorded. */
  readonly sink?: RawSink;
}

/** What a booted guest offers to the patcher. */
export interface BootedGuest {
  readonly records: readonly CallSite[];
  readonly instructions: number;
  /** Xen guests: whether their vcpu_info is in their own per-CPU area. */
  readonly vcpuPlacement?: boolean;
}

/** The machine that a guest needs, apart from recording. `ramBytes`: what the guest takes for its RAM. */
export const machineShapeOf = (
  guestType: 'native' | 'xen',
  bits: 32 | 64,
  ramBytes: number,
): Omit<MachineShape, 'record'> => ({ bits, ramBytes: ramBytes + (guestType === 'xen' ? XEN_OWN_BYTES : 0) });

export type GuestProgress =
  | { readonly kind: 'workload-started'; readonly instructions: number }
  | { readonly kind: 'workload-finished'; readonly instructions: number }
  | { readonly kind: 'exited'; readonly instructions: number };

/** A guest ended as it should not: its code, registers and last blocks are what GuestFailed reports. */
export class GuestFailedError extends AppError {
  constructor(readonly failure: GuestFailure) {
    super(failure.code, failure.message);
  }
}

/**
 * One guest from its image to its end: boot, patches at the boot marker, workload. The trace is a function of the options and the
 * edits alone (architecture rule 2).
 */
export class Guest {
  readonly machine: Machine;
  readonly #image: ElfImage;
  /** Machine address minus guest-physical address of the image. */
  readonly #imageShift: number;
  readonly #xen: XenHypervisor | undefined;

  constructor({ image, guestType = 'native', machine, parameters, instructionBudget, sink }: GuestOptions) {
    this.#image = image;
    const shape = { ...machineShapeOf(guestType, image.bits, parameters.ramBytes), record: sink !== undefined };
    const settings = { seed: parameters.seed, instructionBudget, ...(sink === undefined ? {} : { sink }) };
    if (!(machine instanceof Machine)) this.machine = new Machine({ kernel: machine, ...shape, ...settings });
    else {
      requireShape(machine, shape);
      machine.reset(settings);
      this.machine = machine;
    }
    const page = new Uint8Array(PAGE_BYTES * 10);
    writeBootParameters(page, parameters);
    const parameterPage = page.subarray(BOOT_PARAMETERS_PHYS);
    if (guestType === 'xen') {
      this.#xen = loadXen64(this.machine, image, parameters.ramBytes, parameters.seed);
      const { frames } = this.#xen;
      const machineOf = (phys: number): number => (frames.machineOf[phys / PAGE_BYTES] ?? 0) * PAGE_BYTES;
      const imageStart = Math.min(...image.segments.map(({ phys }) => phys)) & ~(PAGE_BYTES - 1);
      this.#imageShift = machineOf(imageStart) - imageStart;
      this.machine.ram.set(parameterPage, machineOf(BOOT_PARAMETERS_PHYS));
    } else {
      loadNative(this.machine, image);
      this.#imageShift = 0;
      this.machine.ram.set(parameterPage, BOOT_PARAMETERS_PHYS);
    }
  }

  /** Runs to the boot marker and lists the call sites. @throws GuestFailedError, AppError `image/corrupt` */
  boot(): BootedGuest {
    this.#runToMarker(MARKER.booted);
    const image = this.#image;
    const symbol = (name: string): GuestVirt => guestVirt(requireSymbol(image, name));
    const records = image.symbols.has('__parainstructions')
      ? readCallSiteRecords(image.bits, symbol('__parainstructions'), symbol('__parainstructions_end'), this.read)
      : [];
    const instructions = this.instructions;
    return this.#xen === undefined
      ? { records, instructions }
      : { records, instructions, vcpuPlacement: this.#xen.vcpuPlacement };
  }

  /** Guest memory at a kernel image address: a view. @throws AppError `patch/outside-image` */
  readonly read = (address: GuestVirt, length: number): Uint8Array => {
    const phys = this.#imageShift + physicalOf(this.#image, address, length);
    return this.machine.ram.subarray(phys, phys + length);
  };

  /**
   * Applies edits at a quiescent point; all are checked before the first is written.
   * @throws AppError `patch/before-mismatch`, `patch/outside-image`
   */
  applyEdits(edits: readonly TextEdit[]): void {
    editInPlace({ view: this.read }, edits);
    for (const { address, after } of edits) {
      this.machine.writeText(this.#imageShift + physicalOf(this.#image, address, after.length), after);
    }
  }

  /** Goes on to the next milestone. @throws GuestFailedError */
  proceed(): GuestProgress {
    for (;;) {
      const exit = this.machine.run();
      switch (exit.kind) {
        case 'marker':
          if (exit.code === MARKER.workloadStarted)
            return { kind: 'workload-started', instructions: this.instructions };
          if (exit.code === MARKER.workloadFinished)
            return { kind: 'workload-finished', instructions: this.instructions };
          break;
        case 'exit':
          if (exit.status === 0) return { kind: 'exited', instructions: this.instructions };
          throw this.#endedItself(exit.status);
        case 'failed':
          throw new GuestFailedError(exit.failure);
        case 'exception':
          throw new Error(`machine stopped at an exception although it delivers them: ${exit.vector}`);
      }
    }
  }

  #endedItself(status: number): GuestFailedError {
    const said = this.machine.console.trim();
    const quoted = said === '' ? '' : `; its console says: ${said.slice(-CONSOLE_CHARACTERS)}`;
    return new GuestFailedError(
      this.machine.failure('guest/failed', `the guest ended itself with status ${status}${quoted}`),
    );
  }

  /** Retired so far, exact while recording. */
  get instructions(): number {
    return this.machine.counters.instructions;
  }

  #runToMarker(code: number): void {
    const exit = this.machine.run();
    if (exit.kind === 'failed') throw new GuestFailedError(exit.failure);
    if (exit.kind === 'exit') throw this.#endedItself(exit.status);
    if (exit.kind !== 'marker' || exit.code !== code) {
      throw new AppError('image/corrupt', `the guest stopped with ${JSON.stringify(exit)} before its boot marker`);
    }
  }
}

const requireShape = ({ shape }: Machine, wanted: MachineShape): void => {
  const { ramBytes, bits, record } = shape;
  if (ramBytes !== wanted.ramBytes || bits !== wanted.bits || record !== wanted.record) {
    throw new RangeError(`a guest of ${JSON.stringify(wanted)} does not fit a machine of ${JSON.stringify(shape)}`);
  }
};
