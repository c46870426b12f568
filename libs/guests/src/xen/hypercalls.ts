import { TRAP_KINDS } from '@pvtrail/trace';
import type { GuestUnderXen } from './guest-under-xen.js';
import { type Level, refusal } from './page-tables.js';

const RDI = 7;
const RSI = 6;
const RDX = 2;
const R10 = 10;
const R8 = 8;
const ARGUMENTS = [RDI, RSI, RDX, R10, R8] as const;

const TASK_SWITCHED = 8n;
const MASKS_EVENTS = 4n;
const KIND_BITS = 3n;
const NORMAL_UPDATE = 0n;
const PRESERVE_ACCESSED_DIRTY = 2n;
const ACCESSED_DIRTY = 0x60n;
const FRAME_MASK = 0x000ffffffffff000n;
const DESCRIPTOR_ALIAS_LIMIT = 0xfff;

/** Results: what was asked for is not valid, or does not exist. */
const EINVAL = -22n;
const ENOSYS = -38n;

const SCHED_BLOCK = 1n;
const REGISTER_VCPU_INFO = 10n;
const VCPU_INFO_BYTES = 64n;
const REGISTER_CALLBACK = 0n;
const CALLBACKS = 3;
const MULTICALL = 13;

const Ext = { pinL1: 0, pinL4: 3, unpin: 4, newRoot: 5, flush: 6, invalidate: 7, setLdt: 13, newUserRoot: 15 } as const;
const Segment = { fs: 0, gsUser: 1, gsKernel: 2, gsUserSelector: 3 } as const;

type Arguments = readonly bigint[];

/** The calls of docs/adr/007 by number. */
export class Hypercalls {
  readonly #xen: GuestUnderXen;
  #blocked = false;
  readonly #calls: ReadonlyMap<number, (args: Arguments) => bigint>;

  constructor(xen: GuestUnderXen) {
    this.#xen = xen;
    this.#calls = new Map<number, (args: Arguments) => bigint>([
      [0, (args) => this.#setTrapTable(args)],
      [1, (args) => this.#mmuUpdate(args)],
      [2, (args) => this.#setDescriptorTable(args)],
      [3, (args) => this.#switchStack(args)],
      [5, (args) => this.#setTaskSwitched(args)],
      [10, (args) => this.#updateDescriptor(args)],
      [13, (args) => this.#multicall(args)],
      [14, (args) => this.#updateMapping(args)],
      [17, () => 0n],
      [24, (args) => this.#placeVcpuInfo(args)],
      [25, (args) => this.#setSegmentBase(args)],
      [26, (args) => this.#mmuExtended(args)],
      [29, (args) => this.#schedule(args)],
      [30, (args) => this.#registerCallback(args)],
    ]);
  }

  /** Runs the call with the arguments in the registers. @throws GuestStopped */
  run(number: number): bigint {
    return this.#call(
      number,
      ARGUMENTS.map((register) => this.#xen.machine.cpu.gpr(register)),
    );
  }

  /** Whether the last call asked to wait for an event. */
  takeBlocked(): boolean {
    const blocked = this.#blocked;
    this.#blocked = false;
    return blocked;
  }

  #call(number: number, args: Arguments): bigint {
    const call = this.#calls.get(number);
    if (call === undefined) throw refusal(`the hypercall ${number} is unknown`);
    return call(args);
  }

  #word(address: bigint, offset: number): bigint {
    return this.#xen.read(BigInt.asUintN(64, address + BigInt(offset)));
  }

  #setTrapTable([table = 0n]: Arguments): bigint {
    for (let at = table; ; at += 16n) {
      const head = this.#word(at, 0);
      const address = this.#word(at, 8);
      if (address === 0n) return 0n;
      this.#xen.traps.set(Number(head & 0xffn), { address, masksEvents: ((head >> 8n) & MASKS_EVENTS) !== 0n });
    }
  }

  #mmuUpdate([list = 0n, count = 0n]: Arguments): bigint {
    for (let item = 0; item < Number(count); item += 1) {
      const target = this.#word(list, 16 * item);
      this.#writeEntry(target & ~KIND_BITS, this.#word(list, 16 * item + 8), target & KIND_BITS);
    }
    return 0n;
  }

  /** `at`: machine address of the entry. */
  #writeEntry(at: bigint, value: bigint, kind: bigint): void {
    if (kind !== NORMAL_UPDATE && kind !== PRESERVE_ACCESSED_DIRTY)
      throw refusal(`updates of kind ${kind} are unknown`);
    const { tables } = this.#xen;
    const frame = Number(at >> 12n);
    const index = Number((at & 0xfffn) >> 3n);
    const keeps = kind === PRESERVE_ACCESSED_DIRTY && tables.levelOf(frame) !== 0;
    tables.write(frame, index, keeps ? value | (tables.read(frame, index) & ACCESSED_DIRTY) : value);
  }

  #setDescriptorTable([list = 0n]: Arguments): bigint {
    const frame = Number(this.#word(list, 0));
    const { tables, machine, frames } = this.#xen;
    tables.takeDescriptors(frame);
    const guest = BigInt(frames.guestOf[frame] ?? 0);
    machine.cpu.gdtr = { base: DIRECT_MAP + (guest << 12n), limit: DESCRIPTOR_ALIAS_LIMIT };
    return 0n;
  }

  #switchStack([, stack = 0n]: Arguments): bigint {
    this.#xen.kernelStack = stack;
    return 0n;
  }

  #setTaskSwitched([set = 0n]: Arguments): bigint {
    const { cpu } = this.#xen.machine;
    cpu.setU64('cr0', set === 0n ? cpu.cr0 & ~TASK_SWITCHED : cpu.cr0 | TASK_SWITCHED);
    return 0n;
  }

  #updateDescriptor([at = 0n, value = 0n]: Arguments): bigint {
    this.#xen.tables.writeDescriptor(at, value);
    return 0n;
  }

  #multicall([list = 0n, count = 0n]: Arguments): bigint {
    for (let item = 0; item < Number(count); item += 1) {
      const at = list + BigInt(64 * item);
      const args = [16, 24, 32, 40, 48].map((offset) => this.#word(at, offset));
      this.#xen.machine.recordTrap(TRAP_KINDS['multicall-entry']);
      const number = Number(this.#word(at, 0));
      if (number === MULTICALL) throw refusal('a multicall in a multicall');
      const result = this.#call(number, args);
      this.#xen.write(BigInt.asUintN(64, at + 8n), BigInt.asUintN(64, result));
    }
    return 0n;
  }

  #updateMapping([address = 0n, value = 0n]: Arguments): bigint {
    const { machine, tables } = this.#xen;
    const slot = this.#xen.slotOf(address);
    if (slot === undefined) return EINVAL;
    const shared = (value & FRAME_MASK) >> 12n === BigInt(this.#xen.sharedFrame);
    if (shared) this.#xen.mapShared(slot, value);
    else tables.write(slot.table, slot.index, value);
    machine.invalidatePage(address);
    return 0n;
  }

  #placeVcpuInfo([command, , placement = 0n]: Arguments): bigint {
    if (command !== REGISTER_VCPU_INFO) return ENOSYS;
    const frame = this.#word(placement, 0);
    const offset = this.#word(placement, 8) & 0xffffffffn;
    const { frames, tables } = this.#xen;
    const fits = frame < BigInt(frames.guestOf.length) && offset + VCPU_INFO_BYTES <= PAGE;
    if (!fits || tables.levelOf(Number(frame)) !== 0) return EINVAL;
    this.#xen.vcpuInfo = Number(frame * PAGE + offset);
    return 0n;
  }

  #setSegmentBase([which = 0n, base = 0n]: Arguments): bigint {
    const { cpu } = this.#xen.machine;
    switch (Number(which)) {
      case Segment.fs:
        cpu.fsBase = base;
        break;
      case Segment.gsUser:
        this.#xen.otherGsBase = base;
        break;
      case Segment.gsKernel:
        cpu.gsBase = base;
        break;
      case Segment.gsUserSelector:
        return this.#loadUserGs(Number(base & 0xffffn));
      default:
        return EINVAL;
    }
    return 0n;
  }

  #loadUserGs(selector: number): bigint {
    const { cpu } = this.#xen.machine;
    if ((selector | 7) > cpu.gdtr.limit) return EINVAL;
    cpu.setSelector('gs', selector);
    const descriptor = (selector & ~3) === 0 ? 0n : this.#xen.read(cpu.gdtr.base + BigInt(selector & ~7));
    this.#xen.otherGsBase = ((descriptor >> 16n) & 0xffffffn) | ((descriptor >> 32n) & 0xff000000n);
    return 0n;
  }

  #mmuExtended([list = 0n, count = 0n]: Arguments): bigint {
    for (let item = 0; item < Number(count); item += 1) {
      const command = Number(this.#word(list, 24 * item) & 0xffffffffn);
      this.#extended(command, this.#word(list, 24 * item + 8));
    }
    return 0n;
  }

  #extended(command: number, argument: bigint): void {
    const { tables, machine } = this.#xen;
    const frame = Number(argument);
    if (command >= Ext.pinL1 && command <= Ext.pinL4) tables.pin(frame, (command + 1) as Level);
    else if (command === Ext.unpin) tables.unpin(frame);
    else if (command === Ext.newRoot) {
      this.#requireRoot(frame);
      this.#xen.kernelRoot = frame;
      machine.loadPageTables(BigInt(frame) << 12n);
    } else if (command === Ext.newUserRoot) {
      if (frame !== 0) this.#requireRoot(frame);
      this.#xen.userRoot = frame;
      machine.loadPageTables(machine.cpu.cr3);
    } else if (command === Ext.flush) machine.loadPageTables(machine.cpu.cr3);
    else if (command === Ext.invalidate) machine.invalidatePage(argument);
    else if (command !== Ext.setLdt) throw refusal(`the operation ${command} is unknown`);
  }

  #requireRoot(frame: number): void {
    if (this.#xen.tables.levelOf(frame) === 4) return;
    throw refusal(`frame 0x${frame.toString(16)} is no root`);
  }

  #schedule([command]: Arguments): bigint {
    if (command !== SCHED_BLOCK) return ENOSYS;
    this.#xen.eventsMasked = false;
    this.#blocked = true;
    return 0n;
  }

  #registerCallback([command, registration = 0n]: Arguments): bigint {
    if (command !== REGISTER_CALLBACK) return ENOSYS;
    const head = this.#word(registration, 0);
    if (Number(head & 0xffffn) >= CALLBACKS) return EINVAL;
    const masksEvents = ((head >> 16n) & 1n) !== 0n;
    this.#xen.callbacks.set(Number(head & 0xffffn), { address: this.#word(registration, 8), masksEvents });
    return 0n;
  }
}

const DIRECT_MAP = 0xffff880000000000n;
const PAGE = 4096n;
