import { BlockDescriptions, DEFAULT_CONFIGURATION, Simulator, type UnitStatistics } from '@pvtrail/analysis';
import { loadAnalysisKernel } from '@pvtrail/analysis/node';
import type { Workload } from '@pvtrail/contracts';
import { DECODER_WORK_BYTES, openChunk, TraceDecoder } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { encodedTrace } from './encoded-trace.js';
import { catalogue } from './workload-guest.js';

const WASM_PAGE_BYTES = 65536;

/** What the analysis makes of a whole guest, as one unit. */
export const analysedUnit = (
  workload: Workload,
  iterations: number,
): { statistics: UnitStatistics; checkpoint: Uint8Array } => {
  const { sealed } = encodedTrace(workload, iterations);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(DECODER_WORK_BYTES / WASM_PAGE_BYTES) });
  const decoder = new TraceDecoder({ kernel: loadTraceKernel(), memory, workBase: 0 });
  const simulator = new Simulator({
    module: loadAnalysisKernel(),
    descriptions: new BlockDescriptions(catalogue),
    configuration: DEFAULT_CONFIGURATION,
    memory,
    base: memory.buffer.byteLength,
  });
  for (const value of sealed) {
    const chunk = openChunk(value);
    simulator.analyse(chunk.dictionary, decoder.decode(chunk));
  }
  return { statistics: simulator.takeUnit(), checkpoint: simulator.checkpoint() };
};
