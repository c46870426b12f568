// How fast chunks are made and read, and how small they are, on a synthetic kernel. `npm run build` first; see bench/README.md.
import { performance } from 'node:perf_hooks';
import {
  DECODER_WORK_BYTES,
  ENCODER_WORK_BYTES,
  openChunk,
  sealChunk,
  TraceDecoder,
  TraceEncoder,
} from '../dist/index.js';
import { loadTraceKernel } from '../dist/node.js';
import { recordSyntheticGuest } from '../dist/testing/synthetic-guest.js';

const instructions = Number(process.argv[2] ?? 20_000_000);
const repeats = Number(process.argv[3] ?? 5);
const levels = (process.argv[4] ?? '1,3').split(',').map(Number);

const trace = recordSyntheticGuest({ instructions });
const { events, addresses, extras } = trace.columns;
process.stdout.write(`${trace.instructions} instructions, ${events.length} events, ${addresses.length} addresses\n`);

const kernel = loadTraceKernel();
const columnsAt = 65536 + ENCODER_WORK_BYTES;
const total = columnsAt + 4 * (events.length + addresses.length + extras.length) + 64;
const memory = new WebAssembly.Memory({ initial: Math.ceil(total / 65536) });
let at = columnsAt;
const place = (column) => {
  const view = new Uint32Array(memory.buffer, at, column.length);
  view.set(column);
  at += column.byteLength;
  return view;
};
const columns = { events: place(events), addresses: place(addresses), extras: place(extras) };

const best = (task) => {
  let shortest = Infinity;
  let result;
  for (let turn = 0; turn < repeats; turn++) {
    const begin = performance.now();
    result = task();
    shortest = Math.min(shortest, performance.now() - begin);
  }
  return { result, ms: shortest, mips: trace.instructions / shortest / 1000 };
};

const encode = () => {
  const encoder = new TraceEncoder({ kernel, memory, workBase: 65536, guest: '0'.repeat(64) });
  return [...encoder.append(columns, trace.blocks), encoder.finish()];
};
const encoded = best(encode);
const report = (name, { mips }) => process.stdout.write(`${name.padEnd(12)} ${mips.toFixed(0).padStart(6)} MIPS\n`);
report('encode', encoded);
const sum = (name) => encoded.result.reduce((bytes, { header }) => bytes + header.columnBytes[name], 0);
for (const name of ['dictionary', 'code', 'sequence', 'addresses', 'events', 'counts']) {
  process.stdout.write(
    `  ${name.padEnd(12)} ${(sum(name) / trace.instructions).toFixed(4)} byte/instruction before zstd\n`,
  );
}
for (const level of levels) {
  const sealed = best(() => encoded.result.map((chunk) => sealChunk(chunk, level)));
  const bytes = sealed.result.reduce((count, chunk) => count + chunk.length, 0);
  report(`zstd -${level}`, sealed);
  process.stdout.write(
    `  ${(bytes / trace.instructions).toFixed(4)} byte/instruction in ${sealed.result.length} chunks\n`,
  );
}
const sealed = encoded.result.map((chunk) => sealChunk(chunk));
const opened = best(() => sealed.map(openChunk));
report('open', opened);
const decoderMemory = new WebAssembly.Memory({ initial: Math.ceil((65536 + DECODER_WORK_BYTES) / 65536) });
const decoder = new TraceDecoder({ kernel, memory: decoderMemory, workBase: 65536 });
report(
  'decode',
  best(() => opened.result.map((chunk) => decoder.decode(chunk))),
);
