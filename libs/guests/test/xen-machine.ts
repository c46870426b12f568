import { Machine } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { openKernelImages } from '@pvtrail/kernel-images';
import { machineShapeOf, parseElf } from '../src/index.js';
import { loadXen64 } from '../src/xen/xen-boot.js';
import type { XenHypervisor } from '../src/xen/xen-hypervisor.js';

export const RAM_BYTES = 32 << 20;
export const DIRECT_MAP = 0xffff880000000000n;
/** Guest-physical pages that the kernel would find free: for arguments, a stack, tables. */
export const ARGUMENTS = 0x200000;
export const STACK_TOP = 0x204000;
export const FREE = 0x210000;

const emulator = loadEmulatorKernel();
const image = parseElf(openKernelImages('xen-64').elf('v2.6.29'));

const RAX = 0;
const REGISTERS = [7, 6, 2, 10, 8];
const NEXT = 0xffffffff81001000n;

/** What the domain builder leaves, before the kernel's first instruction: hypercalls are made as the kernel would. */
export class XenMachine {
  readonly xen: XenHypervisor;
  readonly traps: number[] = [];

  constructor() {
    const settings = { record: true, instructionBudget: 1e6, sink: () => {} };
    const machine = new Machine({ kernel: emulator, ...machineShapeOf('xen', 64, RAM_BYTES), ...settings });
    const record = machine.recordTrap.bind(machine);
    machine.recordTrap = (kind) => {
      this.traps.push(kind);
      record(kind);
    };
    this.xen = loadXen64(machine, image, RAM_BYTES, 1);
  }

  /** The hypercall's result. @throws GuestStopped */
  call(number: number, ...args: readonly (bigint | number)[]): bigint {
    const { cpu } = this.xen.machine;
    cpu.setGpr(RAX, BigInt(number));
    for (const [index, register] of REGISTERS.entries()) {
      cpu.setGpr(register, BigInt.asUintN(64, BigInt(args[index] ?? 0)));
    }
    this.xen.instruction({ kind: 'system-call', next: NEXT });
    return BigInt.asIntN(64, cpu.gpr(RAX));
  }

  /** Writes words to guest-physical memory; returns their address in the direct map. */
  put(words: readonly (bigint | number)[], phys: number = ARGUMENTS): bigint {
    const address = DIRECT_MAP + BigInt(phys);
    for (const [index, word] of words.entries()) {
      this.xen.write(address + BigInt(8 * index), BigInt.asUintN(64, BigInt(word)));
    }
    return address;
  }

  word(phys: number): bigint {
    return this.xen.read(DIRECT_MAP + BigInt(phys));
  }

  /** Machine frame of a guest-physical address. */
  frameOf(phys: number): number {
    return this.xen.frames.machineOf[phys >>> 12] ?? -1;
  }

  machineAddress(phys: number): bigint {
    return BigInt(this.frameOf(phys)) * 4096n + BigInt(phys & 0xfff);
  }

  /** Takes the writable mapping away from a page of the direct map, as a kernel does before it makes a table of it. */
  makeReadOnly(phys: number): void {
    this.call(14, DIRECT_MAP + BigInt(phys), (BigInt(this.frameOf(phys)) << 12n) | 0x61n, 0);
  }
}
