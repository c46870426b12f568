import { GuestStopped } from '@pvtrail/emulator';

const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const LARGE = 0x80n;
const FRAME = 0x000ffffffffff000n;
const ENTRIES = 512;
const TOP_LEVEL = 4;

/** Slots of a root that belong to the hypervisor. */
const OWN_SLOTS = { first: 256, end: 272 } as const;

export type Level = 1 | 2 | 3 | 4;

/** A frame that is mapped read-only because it holds descriptors. */
const DESCRIPTORS = 5;

const isOwn = (level: number, index: number): boolean =>
  level === TOP_LEVEL && index >= OWN_SLOTS.first && index < OWN_SLOTS.end;

const frameOf = (entry: bigint): number => Number((entry & FRAME) >> 12n);

/**
 * The types of machine frames, as the hypervisor keeps them: a frame is a page table or writable, never both, and every present
 * entry of a table names a frame of the guest. A kernel that breaks this is stopped.
 */
export class PageTables {
  readonly #memory: DataView;
  readonly #frames: number;
  readonly #ownEntry: bigint;
  readonly #type: Uint8Array;
  readonly #uses: Uint32Array;
  readonly #writable: Uint32Array;
  readonly #pinned = new Set<number>();

  /** `ownEntry`: what the hypervisor puts into its first slot of every root. */
  constructor(ram: Uint8Array, frames: number, ownEntry: bigint) {
    this.#memory = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
    this.#frames = frames;
    this.#ownEntry = ownEntry;
    this.#type = new Uint8Array(frames);
    this.#uses = new Uint32Array(frames);
    this.#writable = new Uint32Array(frames);
  }

  read(frame: number, index: number): bigint {
    return this.#memory.getBigUint64(frame * 4096 + 8 * index, true);
  }

  levelOf(frame: number): number {
    return this.#type[frame] ?? 0;
  }

  /** Validates a table and all below it that are none yet, and keeps it one until it is unpinned. @throws GuestStopped */
  pin(frame: number, level: Level): void {
    if (this.#pinned.has(frame)) throw refusal(`frame 0x${frame.toString(16)} is pinned already`);
    this.#take(frame, level);
    this.#pinned.add(frame);
  }

  /** Without its pin and other uses a table is a frame like others. @throws GuestStopped */
  unpin(frame: number): void {
    if (!this.#pinned.delete(frame)) throw refusal(`frame 0x${frame.toString(16)} is not pinned`);
    this.#release(frame);
  }

  #take(frame: number, level: Level): void {
    this.#requireGuest(frame);
    if (this.levelOf(frame) === 0) this.#validate(frame, level);
    else if (this.levelOf(frame) !== level) {
      throw refusal(`frame 0x${frame.toString(16)} is a table of level ${this.levelOf(frame)}, not ${level}`);
    }
    this.#uses[frame] = (this.#uses[frame] ?? 0) + 1;
  }

  #release(frame: number): void {
    const left = (this.#uses[frame] ?? 0) - 1;
    this.#uses[frame] = left;
    if (left > 0) return;
    const level = this.levelOf(frame);
    for (let index = 0; index < ENTRIES; index += 1) this.#dropEntry(level, index, this.read(frame, index));
    this.#type[frame] = 0;
  }

  /** Changes one entry of a table. @throws GuestStopped */
  write(frame: number, index: number, value: bigint): void {
    const level = this.levelOf(frame);
    if (level === DESCRIPTORS || level === 0) throw refusal(`frame 0x${frame.toString(16)} is no table`);
    if (isOwn(level, index)) throw refusal(`slot ${index} of a root is the hypervisor's`);
    const old = this.read(frame, index);
    this.#takeEntry(level, index, value);
    this.#store(frame, index, value);
    this.#dropEntry(level, index, old);
  }

  /** A frame of descriptors is never writable, and no table. @throws GuestStopped */
  takeDescriptors(frame: number): void {
    this.#requireGuest(frame);
    const level = this.levelOf(frame);
    if (level !== 0 && level !== DESCRIPTORS) throw refusal(`frame 0x${frame.toString(16)} of descriptors is a table`);
    if ((this.#writable[frame] ?? 0) > 0) throw refusal('the descriptor table is writable');
    this.#type[frame] = DESCRIPTORS;
  }

  /** Changes one descriptor at a machine address. @throws GuestStopped */
  writeDescriptor(at: bigint, value: bigint): void {
    const frame = Number(at >> 12n);
    if (this.levelOf(frame) !== DESCRIPTORS) throw refusal(`frame 0x${frame.toString(16)} holds no descriptors`);
    this.#memory.setBigUint64(Number(at & ~7n), value, true);
  }

  #validate(frame: number, level: Level): void {
    if ((this.#writable[frame] ?? 0) > 0) throw refusal(`table 0x${frame.toString(16)} of level ${level} is writable`);
    this.#type[frame] = level;
    for (let index = 0; index < ENTRIES; index += 1) {
      if (isOwn(level, index)) this.#memory.setBigUint64(frame * 4096 + 8 * index, this.#ownSlot(index), true);
      else {
        const entry = this.read(frame, index);
        this.#takeEntry(level, index, entry);
        this.#store(frame, index, entry);
      }
    }
  }

  #ownSlot(index: number): bigint {
    return index === OWN_SLOTS.first ? this.#ownEntry : 0n;
  }

  /** Kernel and processes share a ring, so a present entry is a user entry. */
  #store(frame: number, index: number, value: bigint): void {
    this.#memory.setBigUint64(frame * 4096 + 8 * index, (value & PRESENT) === 0n ? value : value | USER, true);
  }

  #takeEntry(level: number, index: number, entry: bigint): void {
    if ((entry & PRESENT) === 0n || isOwn(level, index)) return;
    const target = frameOf(entry);
    this.#requireGuest(target);
    if (level > 1) {
      if ((entry & LARGE) !== 0n) throw refusal(`entry 0x${entry.toString(16)} maps a large page`);
      this.#take(target, (level - 1) as Level);
    } else if ((entry & WRITABLE) !== 0n) {
      if (this.levelOf(target) !== 0) throw refusal(`entry 0x${entry.toString(16)} makes a table writable`);
      this.#writable[target] = (this.#writable[target] ?? 0) + 1;
    }
  }

  #dropEntry(level: number, index: number, entry: bigint): void {
    if ((entry & PRESENT) === 0n || isOwn(level, index)) return;
    const target = frameOf(entry);
    if (level > 1) this.#release(target);
    else if ((entry & WRITABLE) !== 0n) this.#writable[target] = (this.#writable[target] ?? 0) - 1;
  }

  #requireGuest(frame: number): void {
    if (frame >= this.#frames) throw refusal(`frame 0x${frame.toString(16)} is not the guest's`);
  }
}

/** The guest ends: it broke a rule of its hypervisor. */
export const refusal = (why: string): GuestStopped =>
  new GuestStopped('guest/failed', `the hypervisor refuses: ${why}`);
