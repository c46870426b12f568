import { parentPort, workerData } from 'node:worker_threads';
import { type AnalysisConfiguration, BlockDescriptions, DEFAULT_CONFIGURATION, Simulator } from '@pvtrail/analysis';
import { loadAnalysisKernel } from '@pvtrail/analysis/node';
import type { GuestId, GuestSpec } from '@pvtrail/contracts';
import { imageSetOf, openKernelImages } from '@pvtrail/kernel-images';
import { AppError } from '@pvtrail/primitives';
import { DECODER_WORK_BYTES, openChunk, TraceDecoder } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import type { FromWorker, ToWorker, UnitResult, WorkerStart } from './worker-protocol.js';

const { imagesRoot } = workerData as WorkerStart;
const kernels = { trace: loadTraceKernel(), analysis: loadAnalysisKernel() };
const PAGE_BYTES = 65536;

const described = new Map<string, BlockDescriptions>();

/** What is known of the blocks of a guest's stage; the next guest of the stage finds most of its own described. */
const descriptionsFor = (spec: GuestSpec): BlockDescriptions => {
  const set = imageSetOf(spec);
  const key = `${set} ${spec.stage}`;
  const known = described.get(key) ?? new BlockDescriptions(openKernelImages(set, imagesRoot).catalogue(spec.stage));
  described.set(key, known);
  return known;
};

/** One guest's decoder and simulator, in one memory: the decoder writes where the simulator reads. */
class GuestAnalyser {
  readonly #decoder: TraceDecoder;
  readonly #simulator: Simulator;

  constructor(spec: GuestSpec, checkpoint: Uint8Array | undefined) {
    const memory = new WebAssembly.Memory({ initial: Math.ceil(DECODER_WORK_BYTES / PAGE_BYTES) });
    this.#decoder = new TraceDecoder({ kernel: kernels.trace, memory, workBase: 0 });
    const configuration: AnalysisConfiguration = { ...DEFAULT_CONFIGURATION, caches: spec.caches };
    this.#simulator = new Simulator({
      module: kernels.analysis,
      descriptions: descriptionsFor(spec),
      configuration,
      memory,
      base: memory.buffer.byteLength,
      ...(checkpoint === undefined ? {} : { checkpoint }),
    });
  }

  analyse(value: Uint8Array): void {
    const chunk = openChunk(value);
    this.#simulator.analyse(chunk.dictionary, this.#decoder.decode(chunk));
  }

  endUnit(): UnitResult {
    return { statistics: this.#simulator.takeUnit(), checkpoint: this.#simulator.checkpoint() };
  }
}

const guests = new Map<GuestId, GuestAnalyser>();

const analyse = ({ guestId, value, endsUnit }: Extract<ToWorker, { kind: 'chunk' }>): FromWorker => {
  const guest = guests.get(guestId);
  if (guest === undefined) throw new RangeError(`guest ${guestId} is not open`);
  try {
    guest.analyse(value);
    return { kind: 'analysed', guestId, unit: endsUnit ? guest.endUnit() : undefined };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { kind: 'refused', guestId, code: error.code, message: error.message };
  }
};

parentPort?.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'open':
      guests.set(message.guestId, new GuestAnalyser(message.spec, message.checkpoint));
      break;
    case 'chunk':
      parentPort?.postMessage(analyse(message));
      break;
    case 'close':
      guests.delete(message.guestId);
      break;
  }
});
