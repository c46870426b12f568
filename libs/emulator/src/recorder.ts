import {
  CONTINUATION_BIT,
  EVENT_KINDS,
  eventOf,
  isBlockEvent,
  isEvent,
  kindOf,
  PAYLOAD_MASK,
  payloadOf,
  type RawBlock,
  type RawColumns,
} from '@pvtrail/trace';
import type { CpuState } from './cpu-state.js';
import { COLUMNS, REGION } from './state-layout.js';

/** What a recorder needs of others. */
export interface RecorderPorts {
  /** Retired instructions of a part of the event column, by its byte addresses. */
  count(from: number, to: number): number;
  deliver(columns: RawColumns): void;
}

const REMEMBERED_BLOCKS = 16;

const isSplit = (word: number): boolean => isEvent(word) && kindOf(word) === EVENT_KINDS.split;

/** The JavaScript side of recording: appends what generated code does not, counts, empties the columns. */
export class Recorder {
  readonly enabled: boolean;
  /** Retired instructions in everything drained so far. */
  instructions = 0;
  drains = 0;
  readonly #cpu: CpuState;
  readonly #u32: Uint32Array;
  readonly #ports: RecorderPorts;
  #last: number[] = [];

  constructor(enabled: boolean, cpu: CpuState, memory: WebAssembly.Memory, ports: RecorderPorts) {
    this.enabled = enabled;
    this.#cpu = cpu;
    this.#u32 = new Uint32Array(memory.buffer);
    this.#ports = ports;
  }

  /** For a guest of whom nothing is recorded yet. */
  begin(): void {
    this.instructions = 0;
    this.drains = 0;
    this.#last = [];
    this.#reset();
  }

  #reset(): void {
    const cpu = this.#cpu;
    cpu.setU32('eventPointer', REGION.events);
    cpu.setU32('addressPointer', REGION.addresses);
    cpu.setU32('extraPointer', REGION.extras);
    cpu.setU32('eventLimit', limitOf(REGION.events, COLUMNS.events));
    cpu.setU32('addressLimit', limitOf(REGION.addresses, COLUMNS.addresses));
  }

  #append(field: 'eventPointer' | 'addressPointer' | 'extraPointer', value: number): void {
    const at = this.#cpu.u32(field);
    this.#u32[at >>> 2] = value;
    this.#cpu.setU32(field, at + 4);
  }

  event(kind: number, payload: number): void {
    if (this.enabled) this.#append('eventPointer', eventOf(kind, payload & PAYLOAD_MASK));
  }

  block(block: RawBlock): void {
    if (this.enabled) this.#append('eventPointer', block.rawId);
  }

  continuation(block: RawBlock): void {
    if (this.enabled) this.#append('eventPointer', (CONTINUATION_BIT | block.rawId) >>> 0);
  }

  address(phys: number): void {
    if (this.enabled) this.#append('addressPointer', phys);
  }

  extra(value: number): void {
    if (this.enabled) this.#append('extraPointer', value);
  }

  /** A reference crosses a page; the second part begins at `phys`. */
  split(slot: number, phys: number): void {
    this.event(EVENT_KINDS.split, slot);
    this.extra(phys);
  }

  /** Takes back splits of references that did not retire: those of slots from `firstSlot` on. */
  dropSplits(firstSlot: number): void {
    if (!this.enabled) return;
    for (;;) {
      const at = this.#cpu.u32('eventPointer') - 4;
      const word = at < REGION.events ? 0 : (this.#u32[at >>> 2] ?? 0);
      if (!isSplit(word) || payloadOf(word) < firstSlot) return;
      this.#cpu.setU32('eventPointer', at);
      this.#cpu.setU32('extraPointer', this.#cpu.u32('extraPointer') - 4);
    }
  }

  /** The block event just before is done up to instruction `count`; `slots` of its addresses stand. */
  retire(block: RawBlock, count: number, slots: number): void {
    if (!this.enabled) return;
    this.#cpu.setU32('addressPointer', this.#cpu.u32('addressPointer') + 4 * slots);
    if (count < block.instructions) this.event(EVENT_KINDS.partial, count);
  }

  /** Whether the extras, which generated code never checks, need emptying. */
  get extrasLow(): boolean {
    return this.#cpu.u32('extraPointer') > limitOf(REGION.extras, COLUMNS.extras);
  }

  /** Hands the columns over and empties them. */
  drain(): void {
    if (!this.enabled) return;
    const cpu = this.#cpu;
    const events = this.#view(REGION.events, cpu.u32('eventPointer'));
    if (events.length === 0) return;
    this.drains += 1;
    this.instructions += this.#ports.count(REGION.events, cpu.u32('eventPointer'));
    this.#last = lastBlocks(events, this.#last);
    this.#ports.deliver({
      events,
      addresses: this.#view(REGION.addresses, cpu.u32('addressPointer')),
      extras: this.#view(REGION.extras, cpu.u32('extraPointer')),
    });
    this.#reset();
  }

  #view(from: number, to: number): Uint32Array {
    return this.#u32.subarray(from >>> 2, to >>> 2);
  }

  /** The raw ids of the last blocks executed, oldest first. */
  get lastBlocks(): readonly number[] {
    return lastBlocks(this.#view(REGION.events, this.#cpu.u32('eventPointer')), this.#last);
  }
}

const limitOf = (from: number, { entries, guard }: { readonly entries: number; readonly guard: number }): number =>
  from + 4 * (entries - guard);

const lastBlocks = (events: Uint32Array, before: readonly number[]): number[] => {
  const found: number[] = [];
  for (let index = events.length - 1; index >= 0 && found.length < REMEMBERED_BLOCKS; index -= 1) {
    const word = events[index] ?? 0;
    if (isBlockEvent(word)) found.push(word);
  }
  return [...before, ...found.reverse()].slice(-REMEMBERED_BLOCKS);
};
