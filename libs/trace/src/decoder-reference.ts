import { AppError } from '@pvtrail/primitives';
import { ByteReader, unzigzag32 } from './bytes.js';
import type { OpenChunk } from './chunk.js';
import { SEQUENCE_TOKENS, type Shift, SlotPredictor, SuccessorPredictor } from './predictors.js';
import { CONTINUATION_BIT, CONTINUATION_KIND, EVENT_KINDS, eventOf, hasExtra, type RawColumns } from './raw-columns.js';

interface PendingEvent {
  readonly kind: number;
  readonly payload: number;
  /** Slots whose addresses are present, of a partial. */
  readonly slots: number;
  /** Blocks until it happens. */
  distance: number;
}

const corrupt = (message: string): AppError => new AppError('trace/corrupt-chunk', message);

/** The slow, readable twin of TraceDecoder: the same columns from the same chunks, and the same chunks refused. */
class ReferenceDecoder {
  readonly #chunk: OpenChunk;
  readonly #sequence: ByteReader;
  readonly #addresses: ByteReader;
  readonly #events: ByteReader;
  readonly #counts: ByteReader;
  readonly #successors = new SuccessorPredictor();
  readonly #slots: readonly (readonly SlotPredictor[])[];
  readonly #lastCounts = new Map<number, number>();
  readonly #out = { events: [] as number[], addresses: [] as number[], extras: [] as number[] };
  #hits = 0;
  #addressHits = 0;
  #neighbour = 0;
  #lastFrame = 0;
  #lastSplit = 0;
  #known = 0;
  #eventsLeft: number;
  #pending: PendingEvent | undefined;

  constructor(chunk: OpenChunk) {
    this.#chunk = chunk;
    this.#sequence = new ByteReader(chunk.columns.sequence, 'sequence');
    this.#addresses = new ByteReader(chunk.columns.addresses, 'addresses');
    this.#events = new ByteReader(chunk.columns.events, 'events');
    this.#counts = new ByteReader(chunk.columns.counts, 'counts');
    this.#slots = Array.from({ length: chunk.dictionary.count }, (_, block) =>
      Array.from({ length: chunk.dictionary.slots(block) }, () => new SlotPredictor()),
    );
    this.#eventsLeft = chunk.header.rawEvents - chunk.header.executions;
  }

  decode(): RawColumns {
    this.#hits = this.#sequence.varint();
    this.#addressHits = this.#addresses.varint();
    this.#pending = this.#nextEvent();
    this.#takeDueEvents(0);
    for (let execution = 0; execution < this.#chunk.header.executions; execution++) {
      if (this.#pending !== undefined) this.#pending.distance--;
      const local = this.#nextBlock();
      this.#block(local);
      this.#takeDueEvents(local);
    }
    this.#requireUsedUp();
    return {
      events: Uint32Array.from(this.#out.events),
      addresses: Uint32Array.from(this.#out.addresses),
      extras: Uint32Array.from(this.#out.extras),
    };
  }

  #nextBlock(): number {
    let local = this.#successors.predicted;
    if (this.#hits > 0) this.#hits--;
    else {
      local = this.#missedBlock(this.#sequence.varint());
      this.#hits = this.#sequence.varint();
      this.#successors.learnMiss(local);
    }
    if (local === 0 || local > this.#known || local > this.#slots.length) throw corrupt('an unknown block is executed');
    this.#successors.advance(local);
    return local;
  }

  #missedBlock(token: number): number {
    if (token === SEQUENCE_TOKENS.newBlock) return ++this.#known;
    return token === SEQUENCE_TOKENS.lastSuccessor ? this.#successors.lastSuccessor : token - 1;
  }

  #block(local: number): void {
    this.#out.events.push(local - 1);
    const rep = this.#chunk.dictionary.rep(local - 1);
    const { distance, kind, slots } = this.#pending ?? { distance: -1, kind: -1, slots: 0 };
    const partial = distance === 0 && kind === EVENT_KINDS.partial && !rep;
    this.#takeAddresses(local, partial ? slots : this.#chunk.dictionary.slots(local - 1));
    if (rep) this.#takeCount(local);
  }

  #takeAddresses(local: number, count: number): void {
    const slots = this.#slots[local - 1] ?? [];
    if (count > slots.length) throw corrupt('a partial has more slots than its block');
    if (this.#out.addresses.length + count > this.#chunk.header.addressCount) {
      throw corrupt('there are more addresses than declared');
    }
    let shift: Shift;
    for (const slot of slots.slice(0, count)) {
      const address = this.#nextAddress(slot, shift);
      shift = slot.advance(address, this.#neighbour, shift);
      this.#neighbour = address;
      this.#out.addresses.push(address);
    }
  }

  #nextAddress(slot: SlotPredictor, shift: Shift): number {
    if (this.#addressHits > 0) {
      this.#addressHits--;
      return slot.predicted(shift);
    }
    const token = this.#addresses.varint();
    this.#addressHits = this.#addresses.varint();
    return slot.resolve(token % 4, unzigzag32(Math.floor(token / 4)), this.#neighbour);
  }

  #takeCount(local: number): void {
    const count = ((this.#lastCounts.get(local) ?? 0) + unzigzag32(this.#counts.varint())) >>> 0;
    this.#lastCounts.set(local, count);
    this.#out.extras.push(count);
  }

  #nextEvent(): PendingEvent | undefined {
    if (this.#eventsLeft === 0) return undefined;
    this.#eventsLeft--;
    const distance = this.#events.varint();
    const kind = this.#events.byte();
    if (kind > CONTINUATION_KIND) throw corrupt(`event kind ${kind} is unknown`);
    const payload = kind === CONTINUATION_KIND ? 0 : this.#events.varint();
    const slots = kind === EVENT_KINDS.partial ? this.#events.varint() : 0;
    return { distance, kind, payload, slots };
  }

  #takeDueEvents(local: number): void {
    while (this.#pending?.distance === 0) {
      this.#takeEvent(this.#pending, local);
      this.#pending = this.#nextEvent();
    }
  }

  #takeEvent({ kind, payload }: PendingEvent, local: number): void {
    if (kind === CONTINUATION_KIND) {
      if (!this.#chunk.dictionary.rep(local - 1)) throw corrupt('a continuation follows no rep block');
      this.#out.events.push(CONTINUATION_BIT | (local - 1));
      this.#takeAddresses(local, this.#chunk.dictionary.slots(local - 1));
      this.#takeCount(local);
      return;
    }
    this.#out.events.push(eventOf(kind, payload));
    if (hasExtra(kind)) this.#takeExtra(kind);
  }

  #takeExtra(kind: number): void {
    const step = unzigzag32(this.#events.varint());
    if (kind === EVENT_KINDS.split) {
      this.#lastSplit = (this.#lastSplit + step) >>> 0;
      this.#out.extras.push(this.#lastSplit);
    } else {
      this.#lastFrame = (this.#lastFrame + step) >>> 0;
      this.#out.extras.push(this.#lastFrame);
    }
  }

  #requireUsedUp(): void {
    const readers = [this.#sequence, this.#addresses, this.#events, this.#counts];
    const { rawEvents, addressCount, extraCount, blocks } = this.#chunk.header;
    const { events, addresses, extras } = this.#out;
    const asDeclared =
      events.length === rawEvents &&
      addresses.length === addressCount &&
      extras.length === extraCount &&
      this.#known === blocks;
    const quiet = this.#hits === 0 && this.#addressHits === 0 && this.#pending === undefined;
    if (!asDeclared || !quiet || !readers.every((reader) => reader.atEnd)) {
      throw corrupt('the columns and the declared counts disagree');
    }
  }
}

/** Decodes a chunk without the kernel. @throws AppError `trace/corrupt-chunk` */
export const decodeReference = (chunk: OpenChunk): RawColumns => new ReferenceDecoder(chunk).decode();
