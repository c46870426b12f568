import {
  DECODER_WORK_BYTES,
  ENCODER_WORK_BYTES,
  type OpenChunk,
  openChunk,
  openEncoded,
  type RawBlock,
  type RawColumns,
  sealChunk,
  TraceDecoder,
  TraceEncoder,
} from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { describeBlock } from '@pvtrail/x86';
import { describe, expect, it } from 'vitest';
import { BlockDescriptions } from '../src/block-descriptions.js';
import { DEFAULT_CONFIGURATION } from '../src/configuration.js';
import { NaiveSimulator } from '../src/naive-simulator.js';
import { Simulator } from '../src/simulator.js';
import { addUnits, emptyUnit } from '../src/statistics.js';
import { dictionaryOf } from './dictionary-of.js';
import { kernelModule } from './kernel-module.js';
import { functionsOnly, type RandomTrace, RandomTraces } from './random-trace.js';

const PAGE_BYTES = 65536;
const traceKernel = loadTraceKernel();

const rawBlocksOf = ({ dictionary }: RandomTrace): RawBlock[] =>
  dictionary.map((block, rawId) => {
    const shape = describeBlock(block.bytes, block.virt, block.bits);
    return { ...block, rawId, instructions: shape.instructions.length, slots: shape.slots.length };
  });

const memoryFor = (bytes: number): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE_BYTES) });

/** The trace as chunk files, through the encoder and zstd. */
const chunksOf = (trace: RandomTrace): OpenChunk[] => {
  const { events, addresses, extras } = trace.columns;
  const memory = memoryFor(ENCODER_WORK_BYTES + 4 * (events.length + addresses.length + extras.length) + PAGE_BYTES);
  let at = ENCODER_WORK_BYTES;
  const place = (column: Uint32Array): Uint32Array => {
    const view = new Uint32Array(memory.buffer, at, column.length);
    view.set(column);
    at += column.byteLength;
    return view;
  };
  const columns: RawColumns = { events: place(events), addresses: place(addresses), extras: place(extras) };
  const encoder = new TraceEncoder({ kernel: traceKernel, memory, workBase: 0, guest: '0'.repeat(64) });
  const encoded = [...encoder.append(columns, rawBlocksOf(trace)), encoder.finish()];
  return encoded.map((chunk) => openChunk(sealChunk(openEncoded(chunk))));
};

describe('chunks', () => {
  it.each([1, 2, 3])('decoded into the memory of the simulator give what the naive model counts (seed %i)', (seed) => {
    const trace = new RandomTraces(seed, true).chunk(4000, new Map([[0, 2]]));
    const memory = memoryFor(DECODER_WORK_BYTES);
    const decoder = new TraceDecoder({ kernel: traceKernel, memory, workBase: 0 });
    const options = {
      module: kernelModule,
      descriptions: new BlockDescriptions(functionsOnly()),
      memory,
      base: memory.buffer.byteLength,
    };
    const simulator = new Simulator(options);
    for (const chunk of chunksOf(trace)) simulator.analyse(chunk.dictionary, decoder.decode(chunk));
    const unit = simulator.takeUnit();

    const naive = new NaiveSimulator(functionsOnly(), DEFAULT_CONFIGURATION);
    naive.analyse(dictionaryOf(trace.dictionary), trace.columns);
    expect(addUnits(unit, emptyUnit())).toEqual(addUnits(naive.takeUnit(), emptyUnit()));
    expect(unit.totals.kernel.l1dMisses).toBeGreaterThan(0);
  });
});
