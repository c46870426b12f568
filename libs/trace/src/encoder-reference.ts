import type { Digest } from '@pvtrail/primitives';
import { ByteWriter, zigzag32 } from './bytes.js';
import { chunkDigest, type EncodedChunk } from './chunk.js';
import { BLOCK_FLAGS, DictionaryWriter } from './dictionary.js';
import { type ChunkHeader, FORMAT_VERSION } from './header.js';
import { CHUNK_LIMITS, type ChunkLimits, DICTIONARY_CHARGE_BYTES } from './limits.js';
import { SEQUENCE_TOKENS, type Shift, SlotPredictor, SuccessorPredictor } from './predictors.js';
import { type KnownBlock, RawBlockTable } from './raw-block-table.js';
import {
  CONTINUATION_KIND,
  EVENT_KINDS,
  hasExtra,
  isBlockEvent,
  isEvent,
  kindOf,
  payloadOf,
  type RawBlock,
  type RawColumns,
} from './raw-columns.js';

interface LocalBlock {
  readonly number: number;
  readonly known: KnownBlock;
  readonly slots: readonly SlotPredictor[];
  count: number;
}

const isQualifier = (event: number | undefined, kind: number): boolean =>
  event !== undefined && isEvent(event) && kindOf(event) === kind;

/** The chunk being made. */
class ChunkUnderWay {
  readonly sequence = new ByteWriter();
  readonly addresses = new ByteWriter();
  readonly events = new ByteWriter();
  readonly counts = new ByteWriter();
  readonly locals = new Map<number, LocalBlock>();
  readonly successors = new SuccessorPredictor();
  hits = 0;
  addressHits = 0;
  neighbour = 0;
  distance = 0;
  lastFrame = 0;
  lastSplit = 0;
  charges = 0;
  slots = 0;
  instructions = 0;
  kernelInstructions = 0;
  executions = 0;
  eventCount = 0;
  addressCount = 0;
  extraCount = 0;

  isFull(limits: ChunkLimits): boolean {
    const bytes = this.charges + this.sequence.length + this.addresses.length + this.events.length + this.counts.length;
    return (
      this.instructions >= limits.instructions ||
      bytes >= limits.bytes ||
      this.slots >= limits.slots ||
      this.addressCount >= limits.addresses
    );
  }

  block(known: KnownBlock): LocalBlock {
    const local = this.locals.get(known.block.rawId);
    if (local?.number !== undefined && local.number === this.successors.predicted) this.hits++;
    else this.#missBlock(known, local);
    const executed = this.locals.get(known.block.rawId);
    if (executed === undefined) throw new RangeError('a missed block is admitted');
    this.successors.advance(executed.number);
    this.executions++;
    this.distance++;
    this.retire(known, known.instructions);
    return executed;
  }

  retire({ flags }: KnownBlock, instructions: number): void {
    this.instructions += instructions;
    if ((flags & BLOCK_FLAGS.user) === 0) this.kernelInstructions += instructions;
  }

  /** The addresses of one execution of a block, in slot order. */
  addressesOf(slots: readonly SlotPredictor[], addresses: Iterator<number>): void {
    let shift: Shift;
    for (const slot of slots) {
      const address = take(addresses);
      this.#address(slot, address, shift);
      shift = slot.advance(address, this.neighbour, shift);
      this.neighbour = address;
    }
    this.addressCount += slots.length;
  }

  count(local: LocalBlock, count: number): void {
    this.counts.varint(zigzag32((count - local.count) | 0));
    local.count = count;
    this.extraCount++;
  }

  event(kind: number): void {
    this.events.varint(this.distance);
    this.events.byte(kind);
    this.distance = 0;
    this.eventCount++;
  }

  extra(kind: number, value: number): void {
    const isSplit = kind === EVENT_KINDS.split;
    this.events.varint(zigzag32((value - (isSplit ? this.lastSplit : this.lastFrame)) | 0));
    if (isSplit) this.lastSplit = value;
    else this.lastFrame = value;
    this.extraCount++;
  }

  finish(): void {
    this.sequence.varint(this.hits);
    this.addresses.varint(this.addressHits);
  }

  #address(slot: SlotPredictor, address: number, shift: Shift): void {
    if (address === slot.predicted(shift)) {
      this.addressHits++;
      return;
    }
    this.addresses.varint(this.addressHits);
    this.addresses.varint(slot.token(address, this.neighbour));
    this.addressHits = 0;
  }

  #missBlock(known: KnownBlock, local: LocalBlock | undefined): void {
    this.sequence.varint(this.hits);
    this.hits = 0;
    if (local === undefined) this.sequence.varint(SEQUENCE_TOKENS.newBlock);
    else if (local.number === this.successors.lastSuccessor) this.sequence.varint(SEQUENCE_TOKENS.lastSuccessor);
    else this.sequence.varint(local.number + 1);
    this.successors.learnMiss((local ?? this.#admit(known)).number);
  }

  #admit(known: KnownBlock): LocalBlock {
    const slots = Array.from({ length: known.slots }, () => new SlotPredictor());
    const local = { number: this.locals.size + 1, known, slots, count: 0 };
    this.locals.set(known.block.rawId, local);
    this.charges += DICTIONARY_CHARGE_BYTES + known.bytes.length;
    this.slots += known.slots;
    return local;
  }
}

/** The slow, readable twin of TraceEncoder: the same chunks, byte for byte, from columns anywhere. */
export class ReferenceEncoder {
  readonly #guest: Digest;
  readonly #limits: ChunkLimits;
  readonly #blocks = new RawBlockTable();
  #chunk = new ChunkUnderWay();
  #sequence = 0;
  #firstInstruction = 0;
  #last: LocalBlock | undefined;

  constructor(guest: Digest, limits: ChunkLimits = CHUNK_LIMITS) {
    this.#guest = guest;
    this.#limits = limits;
  }

  append(columns: RawColumns, blocks: readonly RawBlock[]): EncodedChunk[] {
    this.#blocks.update(blocks);
    const events = withPartialsFirst(columns.events, (id) => (this.#blocks.get(id).flags & BLOCK_FLAGS.rep) !== 0);
    const addresses = columns.addresses.values();
    const extras = columns.extras.values();
    const chunks: EncodedChunk[] = [];
    for (const [index, event] of events.entries()) {
      if (!isBlockEvent(event)) this.#event(event, addresses, extras);
      else {
        if (this.#chunk.isFull(this.#limits)) chunks.push(this.#endChunk(false));
        this.#block(event, events[index + 1], addresses, extras);
      }
    }
    return chunks;
  }

  finish(): EncodedChunk {
    return this.#endChunk(true);
  }

  #block(rawId: number, next: number | undefined, addresses: Iterator<number>, extras: Iterator<number>): void {
    const known = this.#blocks.get(rawId);
    const local = this.#chunk.block(known);
    this.#last = local;
    const rep = (known.flags & BLOCK_FLAGS.rep) !== 0;
    const partial = !rep && next !== undefined && isQualifier(next, EVENT_KINDS.partial);
    const present = partial ? this.#blocks.slotsBefore(rawId, payloadOf(next)) : known.slots;
    this.#addresses(local, present, addresses);
    if (rep) this.#chunk.count(local, take(extras));
  }

  #addresses(local: LocalBlock, present: number, addresses: Iterator<number>): void {
    this.#chunk.addressesOf(local.slots.slice(0, present), addresses);
  }

  #event(event: number, addresses: Iterator<number>, extras: Iterator<number>): void {
    if (!isEvent(event)) {
      this.#continuation(addresses, extras);
      return;
    }
    const kind = kindOf(event);
    this.#chunk.event(kind);
    this.#chunk.events.varint(payloadOf(event));
    if (kind === EVENT_KINDS.partial) this.#partial(payloadOf(event));
    if (hasExtra(kind)) this.#chunk.extra(kind, take(extras));
  }

  #continuation(addresses: Iterator<number>, extras: Iterator<number>): void {
    const local = this.#lastBlock();
    this.#chunk.event(CONTINUATION_KIND);
    this.#addresses(local, local.slots.length, addresses);
    this.#chunk.count(local, take(extras));
  }

  #partial(retired: number): void {
    const { known } = this.#lastBlock();
    const rep = (known.flags & BLOCK_FLAGS.rep) !== 0;
    this.#chunk.events.varint(rep ? known.slots : this.#blocks.slotsBefore(known.block.rawId, retired));
    this.#chunk.retire(known, retired - known.instructions);
  }

  #lastBlock(): LocalBlock {
    if (this.#last === undefined) throw new RangeError('raw columns are malformed: an event qualifies no block');
    return this.#last;
  }

  #endChunk(last: boolean): EncodedChunk {
    const chunk = this.#chunk;
    chunk.finish();
    const dictionary = new DictionaryWriter();
    for (const { known } of chunk.locals.values()) dictionary.add(known);
    const columns = {
      dictionary: dictionary.meta.bytes,
      code: dictionary.code.bytes,
      sequence: chunk.sequence.bytes,
      addresses: chunk.addresses.bytes,
      events: chunk.events.bytes,
      counts: chunk.counts.bytes,
    };
    const rest: Omit<ChunkHeader, 'digest'> = {
      version: FORMAT_VERSION,
      guest: this.#guest,
      sequence: this.#sequence,
      last,
      executions: chunk.executions,
      instructions: chunk.instructions,
      kernelInstructions: chunk.kernelInstructions,
      rawEvents: chunk.executions + chunk.eventCount,
      addressCount: chunk.addressCount,
      extraCount: chunk.extraCount,
      blocks: chunk.locals.size,
      slots: chunk.slots,
      firstInstruction: this.#firstInstruction,
      columnBytes: {
        dictionary: columns.dictionary.length,
        code: columns.code.length,
        sequence: columns.sequence.length,
        addresses: columns.addresses.length,
        events: columns.events.length,
        counts: columns.counts.length,
      },
    };
    const body = Uint8Array.from(Buffer.concat(Object.values(columns)));
    this.#sequence++;
    this.#firstInstruction += chunk.instructions;
    this.#chunk = new ChunkUnderWay();
    this.#last = undefined;
    return { header: { ...rest, digest: chunkDigest(rest, body) }, body };
  }
}

const take = (column: Iterator<number>): number => {
  const { value, done } = column.next();
  if (done) throw new RangeError('raw columns are malformed: a column is too short');
  return value;
};

/** A partial that follows the splits of its block is put before them; a rep block's stays where it is. */
const withPartialsFirst = (events: Uint32Array, isRep: (rawId: number) => boolean): Uint32Array => {
  const ordered = events.slice();
  for (let at = 0; at < ordered.length; at++) {
    const event = ordered[at] ?? 0;
    if (!isBlockEvent(event) || isRep(event)) continue;
    let end = at + 1;
    while (isQualifier(ordered[end], EVENT_KINDS.split)) end++;
    const partial = ordered[end];
    if (partial === undefined || !isQualifier(partial, EVENT_KINDS.partial)) continue;
    ordered.copyWithin(at + 2, at + 1, end);
    ordered[at + 1] = partial;
  }
  return ordered;
};
