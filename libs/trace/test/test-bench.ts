import type { Digest, SeededRandom } from '@pvtrail/primitives';
import {
  CHUNK_LIMITS,
  type ChunkLimits,
  CONTINUATION_BIT,
  DECODER_WORK_BYTES,
  ENCODER_WORK_BYTES,
  EVENT_KINDS,
  hasExtra,
  isBlockEvent,
  isEvent,
  kindOf,
  payloadOf,
  type RawColumns,
  TraceDecoder,
  TraceEncoder,
} from '../src/index.js';
import { loadTraceKernel } from '../src/node.js';
import { RawBlockTable } from '../src/raw-block-table.js';
import type { SyntheticTrace } from '../src/testing/synthetic-guest.js';

const PAGE = 65536;
const COLUMNS_AT = ENCODER_WORK_BYTES;
const COLUMN_BYTES = 16 * 1024 * 1024;

/** Memory with the kernel in it: stands for the emulator's and the analysis' memories. */
export class TestBench {
  readonly #kernel = loadTraceKernel();
  readonly #memory = new WebAssembly.Memory({ initial: (COLUMNS_AT + COLUMN_BYTES) / PAGE });
  readonly #decoderMemory = new WebAssembly.Memory({ initial: Math.ceil(DECODER_WORK_BYTES / PAGE) });
  readonly #decoder = new TraceDecoder({ kernel: this.#kernel, memory: this.#decoderMemory, workBase: 0 });

  encoder(guest: Digest, limits: ChunkLimits = CHUNK_LIMITS): TraceEncoder {
    return new TraceEncoder({ kernel: this.#kernel, memory: this.#memory, workBase: 0, guest, limits });
  }

  decoder(): TraceDecoder {
    return this.#decoder;
  }

  /** Copies columns into the memory, as if the machine had recorded them there. */
  stage(columns: RawColumns): RawColumns {
    let at = COLUMNS_AT;
    const place = (column: Uint32Array): Uint32Array => {
      const view = new Uint32Array(this.#memory.buffer, at, column.length);
      view.set(column);
      at += column.byteLength;
      return view;
    };
    return { events: place(columns.events), addresses: place(columns.addresses), extras: place(columns.extras) };
  }

  /** Cuts a trace into drains: a block keeps its qualifiers, everything else may be parted. */
  cut(trace: SyntheticTrace, random: SeededRandom): RawColumns[] {
    const { events, addresses, extras } = trace.columns;
    const consumption = consumptionOf(trace);
    const pieces: RawColumns[] = [];
    let from = { event: 0, address: 0, extra: 0 };
    let to = { ...from };
    for (let index = 0; index <= events.length; index++) {
      const event = events[index];
      const qualifies =
        event !== undefined &&
        isEvent(event) &&
        [EVENT_KINDS.partial, EVENT_KINDS.split].includes(kindOf(event) as 0 | 5);
      if (event === undefined || (!qualifies && random.below(1000) === 0)) {
        pieces.push({
          events: events.subarray(from.event, to.event),
          addresses: addresses.subarray(from.address, to.address),
          extras: extras.subarray(from.extra, to.extra),
        });
        from = { ...to };
      }
      to = {
        event: index + 1,
        address: to.address + (consumption.addresses[index] ?? 0),
        extra: to.extra + (consumption.extras[index] ?? 0),
      };
    }
    return pieces;
  }
}

/** How many addresses and extras each event of a trace owns, straight from ADR 002. */
const consumptionOf = ({ columns, blocks }: SyntheticTrace): { addresses: number[]; extras: number[] } => {
  const table = new RawBlockTable();
  table.update(blocks);
  const addresses: number[] = [];
  const extras: number[] = [];
  for (const [index, event] of columns.events.entries()) {
    if (isEvent(event)) {
      addresses.push(0);
      extras.push(hasExtra(kindOf(event)) ? 1 : 0);
      continue;
    }
    const id = event & ~CONTINUATION_BIT;
    const next = columns.events[index + 1] ?? 0;
    const partial = isBlockEvent(event) && isEvent(next) && kindOf(next) === EVENT_KINDS.partial;
    const rep = (table.get(id).flags & 16) !== 0;
    addresses.push(partial && !rep ? table.slotsBefore(id, payloadOf(next)) : table.get(id).slots);
    extras.push(rep ? 1 : 0);
  }
  return { addresses, extras };
};
