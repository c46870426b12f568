import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { BlockDescriptions, DEFAULT_CONFIGURATION, Simulator } from '@pvtrail/analysis';
import { loadAnalysisKernel } from '@pvtrail/analysis/node';
import type { Workload } from '@pvtrail/contracts';
import type { Machine, RawSink } from '@pvtrail/emulator';
import { DECODER_WORK_BYTES, openChunk, TraceDecoder } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { encodedTrace } from './encoded-trace.js';
import { seconds } from './seconds.js';
import { catalogue, finishWorkload, startedGuest } from './workload-guest.js';

/** Figures of one run, by name. `…mips`: million guest instructions per second. */
export type Figures = Readonly<Record<string, number>>;

const PLAIN_LOOP_TURNS = 400_000_000;

const loop = (turns: number): number => {
  let value = 1;
  for (let turn = 0; turn < turns; turn++) value = (Math.imul(value, 1664525) + 1013904223) | 0;
  return value;
};

/** Million turns a second of a loop with one multiplication and one addition, each waiting for the one before. */
export const plainLoop = (): Figures => {
  loop(PLAIN_LOOP_TURNS / 100);
  return { 'plain-loop': PLAIN_LOOP_TURNS / seconds(() => loop(PLAIN_LOOP_TURNS)) / 1e6 };
};

/** Instructions of the counted region, which every mode of running executes alike. */
const countedInstructions = (workload: Workload, iterations: number): number => {
  const guest = startedGuest(workload, iterations, () => {});
  const before = guest.instructions;
  finishWorkload(guest);
  return guest.instructions - before;
};

/** Runs of the workload by other guests of the same machine before the one that counts: V8 has compiled what is hot by then. */
const WARM_UP_GUESTS = 2;

/**
 * Million instructions a second in the counted region: of a machine's first guest (`cold`), which is translated and compiled while
 * it runs, and of one whose machine has run the workload before (`warm`), as most guests of a fleet find it.
 */
const executed = (workload: Workload, iterations: number, sink?: RawSink) => {
  const instructions = countedInstructions(workload, iterations);
  let machine: Machine | undefined;
  const run = (): number => {
    const guest = startedGuest(workload, iterations, sink, machine);
    ({ machine } = guest);
    return instructions / seconds(() => finishWorkload(guest)) / 1e6;
  };
  const [cold = 0] = Array.from({ length: WARM_UP_GUESTS }, run);
  return { cold, warm: run() };
};

export const execute = (workload: Workload, iterations: number): Figures => {
  const { cold, warm } = executed(workload, iterations);
  return { 'execute.mips': warm, 'execute.cold.mips': cold };
};

export const record = (workload: Workload, iterations: number): Figures => {
  const { cold, warm } = executed(workload, iterations, () => {});
  return { 'record.mips': warm, 'record.cold.mips': cold };
};

export const encode = (workload: Workload, iterations: number): Figures => {
  const { sealed, time, instructions } = encodedTrace(workload, iterations);
  const bytes = sealed.reduce((sum, { length }) => sum + length, 0);
  return {
    'encode.mips': instructions / time.encode / 1e6,
    'compress.mips': instructions / time.compress / 1e6,
    'trace.bytesPerInstruction': bytes / instructions,
  };
};

const WASM_PAGE_BYTES = 65536;

/** Decompress, decode, caches, predictor, ledger; two turns over the trace, the second one counts. */
export const analyse = (workload: Workload, iterations: number): Figures => {
  const { sealed, instructions } = encodedTrace(workload, iterations);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(DECODER_WORK_BYTES / WASM_PAGE_BYTES) });
  const decoder = new TraceDecoder({ kernel: loadTraceKernel(), memory, workBase: 0 });
  const base = memory.buffer.byteLength;
  const module = loadAnalysisKernel();
  const descriptions = new BlockDescriptions(catalogue);
  const turn = (): number => {
    const simulator = new Simulator({ module, descriptions, configuration: DEFAULT_CONFIGURATION, memory, base });
    return seconds(() => {
      for (const value of sealed) {
        const chunk = openChunk(value);
        simulator.analyse(chunk.dictionary, decoder.decode(chunk));
      }
      simulator.takeUnit();
    });
  };
  turn();
  return { 'analyse.mips': instructions / turn() / 1e6 };
};

const PVTRAIL = fileURLToPath(new URL('../../apps/cli/bin/pvtrail.js', import.meta.url));
const PEAK_POLL_MS = 100;

const peakMiB = (pid: number): number => {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
};

/** Runs the command line in an empty data folder. Linux only: the peak comes from /proc. */
const pvtrail = async (...options: string[]) => {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-bench-'));
  const begin = performance.now();
  const child = spawn(process.execPath, [PVTRAIL, '--data', data, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let peak = 0;
  const poll = setInterval(() => {
    if (child.exitCode === null && child.pid !== undefined) peak = Math.max(peak, peakMiB(child.pid));
  }, PEAK_POLL_MS);
  const output: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => output.push(part));
  try {
    const status = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
    if (status !== 0) throw new Error(`pvtrail ${options.join(' ')} ended with ${status}`);
    const time = (performance.now() - begin) / 1000;
    return { document: JSON.parse(Buffer.concat(output).toString('utf8')), seconds: time, peakMiB: peak };
  } finally {
    clearInterval(poll);
    fs.rmSync(data, { recursive: true });
  }
};

/** From the command to its end, all rows stored: start-up, translation, patching and one guest at a time included. */
export const pipeline = async (workload: Workload, iterations: number): Promise<Figures> => {
  const { document, seconds: time } = await pvtrail(
    ...['run', '--stage', 'v2.6.30', '--workload', workload, '--iterations', String(iterations), '--json'],
  );
  const [{ instructions }] = document.guests as [{ instructions: number }];
  return { 'pipeline.mips': instructions / time / 1e6 };
};

/** The default fleet, as `npm start` runs it after installation and build. */
export const start = async (): Promise<Figures> => {
  const { seconds: time, peakMiB: peak } = await pvtrail('start', '--json');
  return { 'start.seconds': time, 'start.maxRssMiB': peak };
};
