import { AppError } from '@pvtrail/primitives';
import type { ReferenceSlot } from '@pvtrail/x86';
import type { ControlFlow, FlowBlock, Place } from './control-flow.js';
import type { ChunkHeader } from './header.js';
import { EVENT_KINDS, hasExtra, isBlockEvent, isEvent, kindOf, payloadOf, type RawColumns } from './raw-columns.js';
import type { ReturnAddresses } from './return-addresses.js';

/** Bytes below its frame address that the CPU writes when it delivers an interrupt or exception, at most (ADR 002). */
const FRAME_BYTES = 48;
const PAGE_BYTES = 4096;
/** Bit of a rep run's count: the run goes downwards. */
const DOWNWARDS = 0x80000000;

const isWhole = (next: number | undefined): boolean =>
  next === undefined || !isEvent(next) || kindOf(next) !== EVENT_KINDS.partial;

/** Walks what a chunk decoded to: continuity of control, and what was retired, counted independently of the decoder. */
export class ChunkWalk {
  readonly #header: ChunkHeader;
  readonly #blocks: readonly FlowBlock[];
  readonly #columns: RawColumns;
  readonly #flow: ControlFlow;
  readonly #returns: ReturnAddresses;
  #addressAt = 0;
  #extraAt = 0;
  #last: FlowBlock | undefined;
  #instructions = 0;
  #kernelInstructions = 0;

  constructor(
    header: ChunkHeader,
    blocks: readonly FlowBlock[],
    columns: RawColumns,
    flow: ControlFlow,
    returns: ReturnAddresses,
  ) {
    this.#header = header;
    this.#blocks = blocks;
    this.#columns = columns;
    this.#flow = flow;
    this.#returns = returns;
  }

  /** @throws AppError `trace/corrupt-chunk`, `trace/discontinuous` */
  run(): { instructions: number; kernelInstructions: number } {
    const { events, addresses, extras } = this.#columns;
    for (const [index, event] of events.entries()) {
      const place = { chunk: this.#header.sequence, event: index };
      if (isBlockEvent(event)) this.#block(event, events[index + 1], place);
      else if (isEvent(event)) this.#event(kindOf(event), payloadOf(event), place);
      else this.#repRun();
    }
    if (this.#addressAt !== addresses.length || this.#extraAt !== extras.length) {
      throw this.#corrupt('addresses or extras belong to no event');
    }
    return { instructions: this.#instructions, kernelInstructions: this.#kernelInstructions };
  }

  #block(number: number, next: number | undefined, place: Place): void {
    const block = this.#blocks[number];
    if (block === undefined)
      throw this.#corrupt(`event ${place.event} names block ${number}, which the dictionary lacks`);
    this.#flow.block(block, place);
    this.#last = block;
    const { length } = block.shape.instructions;
    this.#retire(length);
    if (block.rep) this.#repRun();
    else if (isWhole(next)) this.#whole(block);
    else this.#references(block.shape.slots.filter((slot) => slot.instruction < payloadOf(next ?? 0)));
  }

  /** The references of a block that retired whole; the last one is that of the call or return that ends it. */
  #whole(block: FlowBlock): void {
    const { slots, end, bits } = block.shape;
    const lastAddress = this.#references(slots);
    if (end.kind === 'call' || end.kind === 'indirect-call') {
      this.#returns.push(lastAddress, bits / 8, block.next);
    } else if (end.kind === 'return') {
      const target = this.#returns.read(lastAddress);
      if (target !== undefined) this.#flow.returnTo(target);
    }
  }

  #references(slots: readonly ReferenceSlot[]): number {
    let address = 0;
    for (const { direction, widthBytes } of slots) {
      address = this.#take('addresses');
      if (direction !== 'read') this.#returns.overwrite(address, widthBytes);
    }
    return address;
  }

  #repRun(): void {
    const slots = this.#last?.shape.slots ?? [];
    const addresses = slots.map(() => this.#take('addresses'));
    const taken = this.#take('extras');
    const count = taken & ~DOWNWARDS;
    for (const [index, { direction, widthBytes }] of slots.entries()) {
      if (direction === 'read' || count === 0) continue;
      // A run stays in its page (ADR 002), so more than a page's worth cannot have been written.
      const bytes = Math.min(count * widthBytes, PAGE_BYTES);
      const address = addresses[index] ?? 0;
      this.#returns.overwrite((taken & DOWNWARDS) === 0 ? address : address + widthBytes - bytes, bytes);
    }
  }

  #event(kind: number, payload: number, place: Place): void {
    this.#flow.event(kind, payload, place);
    if (kind === EVENT_KINDS.partial) this.#retire(payload - (this.#last?.shape.instructions.length ?? 0));
    if (kind === EVENT_KINDS.trap) this.#returns.forget();
    if (!hasExtra(kind)) return;
    const extra = this.#take('extras');
    // A split reference may have been a write of up to 8 bytes.
    if (kind === EVENT_KINDS.split) this.#returns.overwrite(extra, 8);
    else this.#returns.overwrite(extra - FRAME_BYTES, FRAME_BYTES);
  }

  #retire(instructions: number): void {
    this.#instructions += instructions;
    if (this.#last?.user === false) this.#kernelInstructions += instructions;
  }

  #take(column: 'addresses' | 'extras'): number {
    const value =
      column === 'addresses' ? this.#columns.addresses[this.#addressAt++] : this.#columns.extras[this.#extraAt++];
    if (value === undefined) throw this.#corrupt(`there are fewer ${column} than its events have`);
    return value;
  }

  #corrupt(message: string): AppError {
    const { sequence } = this.#header;
    return new AppError('trace/corrupt-chunk', `chunk ${sequence}: ${message}`, { sequence });
  }
}
