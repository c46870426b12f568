import { BlockDescriptions, Simulator } from '@pvtrail/analysis';
import { loadAnalysisKernel } from '@pvtrail/analysis/node';
import { ENCODER_AREA } from '@pvtrail/emulator';
import { digestOf } from '@pvtrail/primitives';
import { type MeasuredStage, STAGES } from '@pvtrail/pvops';
import { type EncodedChunk, openEncoded, TraceDecoder, TraceEncoder } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { describe, expect, it } from 'vitest';
import { observe } from './observed-guest.js';
import { catalogueAt } from './stage-image.js';

const kernels = { trace: loadTraceKernel(), analysis: loadAnalysisKernel() };
const ONE_OF_EACH = { nullsyscall: 1, pagefault: 1, fork: 1, mmap: 1, ctxswitch: 1, timer: 1, spinlock: 1 };

/** Statistics of the hot mix, one iteration of each workload. @throws AppError `analysis/unclassified-save` */
const analyseMix = (stage: MeasuredStage) => {
  const memory = new WebAssembly.Memory({ initial: 256 });
  const decoder = new TraceDecoder({ kernel: kernels.trace, memory, workBase: 0 });
  const simulator = new Simulator({
    module: kernels.analysis,
    descriptions: new BlockDescriptions(catalogueAt(stage)),
    memory,
    base: memory.buffer.byteLength,
  });
  let encoder: TraceEncoder | undefined;
  const analyse = (encoded: EncodedChunk): void => {
    const chunk = openEncoded(encoded);
    simulator.analyse(chunk.dictionary, decoder.decode(chunk));
  };
  observe({
    stage,
    workload: 'mix',
    mixIterations: ONE_OF_EACH,
    trace: (columns, machine) => {
      encoder ??= new TraceEncoder({
        kernel: kernels.trace,
        memory: machine.memory,
        workBase: ENCODER_AREA.offset,
        guest: digestOf(stage),
      });
      for (const chunk of encoder.append(columns, machine.blocks)) analyse(chunk);
    },
  });
  if (encoder !== undefined) analyse(encoder.finish());
  return simulator.takeUnit();
};

describe('the mix', () => {
  it.each(STAGES)('of %s executes no push, pop or stack move that the catalogue does not class', (stage) => {
    const { saves, restores, notSaves, foldedSaves, stackMoves } = analyseMix(stage).ledger;
    expect(saves + restores + notSaves - foldedSaves).toBe(stackMoves);
    expect(saves).toBeGreaterThan(0);
  });
});
