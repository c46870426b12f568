// How fast chunks are decoded and analysed, on a synthetic kernel. `npm run build` first; see README.md beside this file.
import { performance } from 'node:perf_hooks';
import { DECODER_WORK_BYTES, ENCODER_WORK_BYTES, openEncoded, TraceDecoder, TraceEncoder } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { describeBlock } from '@pvtrail/x86';
import { recordSyntheticGuest } from '../../trace/dist/testing/synthetic-guest.js';
import { Simulator } from '../dist/index.js';
import { loadAnalysisKernel } from '../dist/node/index.js';

const instructions = Number(process.argv[2] ?? 20_000_000);
const repeats = Number(process.argv[3] ?? 5);
const functions = Number(process.argv[4] ?? 300);
const CHUNKS_PER_UNIT = 16;

const trace = recordSyntheticGuest({ instructions, functions });

/** Every push and pop of the synthetic kernel is a frame save: the ledger has to know them. */
const address = (virt) => `0x${virt.toString(16).padStart(16, '0')}`;
const saves = trace.blocks
  .filter(({ user }) => !user)
  .flatMap(({ virt, bytes }) =>
    describeBlock(bytes, virt, 64)
      .instructions.filter(({ stackUse }) => stackUse === 'push' || stackUse === 'pop')
      .map(({ offset, stackUse }) => ({
        address: address(virt + BigInt(offset)),
        kind: stackUse === 'push' ? 'save' : 'restore',
        cause: 'callee-frame',
        function: '',
        register: 'rbx',
      })),
  );
const catalogue = {
  ...{
    format: 1,
    guest: 'native',
    bits: 64,
    stage: 'v2.6.29',
    symbols: {},
    opTable: [],
    sites: [],
    thunks: [],
    notSaves: [],
  },
  saves,
  functions: Array.from({ length: functions }, (_, i) => ({
    name: `function_${i}`,
    address: address(0xffffffff81000000n + BigInt(i * 1024)),
    slotBytes: 1024,
    codeBytes: 1024,
    kind: 'c',
  })),
};

const encode = () => {
  const { events, addresses, extras } = trace.columns;
  const at = 65536 + ENCODER_WORK_BYTES;
  const total = at + 4 * (events.length + addresses.length + extras.length) + 64;
  const memory = new WebAssembly.Memory({ initial: Math.ceil(total / 65536) });
  let next = at;
  const place = (column) => {
    const view = new Uint32Array(memory.buffer, next, column.length);
    view.set(column);
    next += column.byteLength;
    return view;
  };
  const columns = { events: place(events), addresses: place(addresses), extras: place(extras) };
  const encoder = new TraceEncoder({ kernel: loadTraceKernel(), memory, workBase: 65536, guest: '0'.repeat(64) });
  return [...encoder.append(columns, trace.blocks), encoder.finish()].map(openEncoded);
};

const chunks = encode();
const memory = new WebAssembly.Memory({ initial: Math.ceil((65536 + DECODER_WORK_BYTES) / 65536) });
const decoder = new TraceDecoder({ kernel: loadTraceKernel(), memory, workBase: 65536 });
const module = loadAnalysisKernel();

const analyseAll = () => {
  const simulator = new Simulator({ module, catalogue, memory, base: 65536 + DECODER_WORK_BYTES });
  const times = { decode: 0, analyse: 0, unit: 0 };
  const units = [];
  const timed = (name, task) => {
    const begin = performance.now();
    const result = task();
    times[name] += performance.now() - begin;
    return result;
  };
  chunks.forEach((chunk, i) => {
    const columns = timed('decode', () => decoder.decode(chunk));
    timed('analyse', () => simulator.analyse(chunk.dictionary, columns));
    if ((i + 1) % CHUNKS_PER_UNIT !== 0 && i + 1 < chunks.length) return;
    units.push(timed('unit', () => simulator.takeUnit()));
    timed('unit', () => simulator.checkpoint());
  });
  return { times: { ...times, whole: times.decode + times.analyse + times.unit }, units };
};

const runs = Array.from({ length: repeats }, analyseAll);
const { kernel } = runs[0].units[0].totals;
const blocks = chunks.reduce((sum, { header }) => sum + header.blocks, 0) / chunks.length;
process.stdout.write(
  `${trace.instructions} instructions, ${chunks.length} chunks, ${blocks.toFixed(0)} blocks a chunk; first unit: ` +
    `${kernel.instructions} kernel instructions, L1I ${kernel.l1iMisses}/${kernel.l1iReferences}, ` +
    `L1D ${kernel.l1dMisses}/${kernel.dataReads + kernel.dataWrites}, mispredicted ${kernel.conditionalMispredictions}/${kernel.conditionalBranches}\n`,
);
for (const name of ['decode', 'analyse', 'unit', 'whole']) {
  const sorted = runs.map(({ times }) => times[name]).sort((a, b) => a - b);
  const median = sorted[repeats >> 1];
  process.stdout.write(
    `${name.padEnd(8)} ${(trace.instructions / median / 1000).toFixed(0).padStart(6)} MIPS (median of ${repeats})\n`,
  );
}
