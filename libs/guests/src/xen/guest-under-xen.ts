import type { Machine } from '@pvtrail/emulator';
import type { MachineFrames } from './frames.js';
import type { PageTables } from './page-tables.js';

/** A handler that the kernel registered. */
export interface Handler {
  readonly address: bigint;
  readonly masksEvents: boolean;
}

/** What hypercalls need of a guest: its state that the hypervisor keeps, and its memory. */
export interface GuestUnderXen {
  readonly machine: Machine;
  readonly tables: PageTables;
  readonly frames: MachineFrames;
  readonly traps: Map<number, Handler>;
  readonly callbacks: Map<number, Handler>;
  readonly sharedFrame: number;
  /** Machine address. */
  vcpuInfo: number;
  kernelRoot: number;
  userRoot: number;
  kernelStack: bigint;
  /** The GS base that is not live. */
  otherGsBase: bigint;
  eventsMasked: boolean;
  mapShared(slot: { readonly table: number; readonly index: number }, value: bigint): void;
  /** The lowest-level entry that maps an address under the kernel's root. */
  slotOf(address: bigint): { readonly table: number; readonly index: number } | undefined;
  read(address: bigint): bigint;
  write(address: bigint, value: bigint): void;
}
