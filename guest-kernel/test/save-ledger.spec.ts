import { BlockDescriptions, Simulator } from '@pvtrail/analysis';
import { loadAnalysisKernel } from '@pvtrail/analysis/node';
import { type MeasuredStage, STAGES } from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import { ONE_OF_EACH } from './observed-guest.js';
import { catalogueAt, NATIVE_KERNELS } from './stage-image.js';
import { traceChunks } from './traced-guest.js';

const module = loadAnalysisKernel();

const KERNELS = [
  ...NATIVE_KERNELS.map((kernel) => ({ ...kernel, type: 'native' as const, stages: STAGES })),
  {
    folder: 'xen-64',
    bits: 64,
    paging: '4level',
    type: 'xen',
    stages: ['v2.6.29', 'callee-save-pte', 'v2.6.30'],
  },
] as const;
type Kernel = (typeof KERNELS)[number];

/** Statistics of the hot mix, one iteration of each workload. @throws AppError `analysis/unclassified-save` */
const analyseMix = (stage: MeasuredStage, { folder, type, bits, paging }: Kernel) => {
  const memory = new WebAssembly.Memory({ initial: 256 });
  const descriptions = new BlockDescriptions(catalogueAt(stage, folder));
  const simulator = new Simulator({ module, descriptions, memory, base: memory.buffer.byteLength });
  traceChunks(
    { type, stage, bits, paging, workload: 'mix', mixIterations: ONE_OF_EACH },
    memory,
    (dictionary, columns) => simulator.analyse(dictionary, columns),
  );
  return simulator.takeUnit();
};

describe.each(KERNELS)('the mix of $folder', (kernel) => {
  it.each(kernel.stages)('of %s executes no push, pop or stack move that the catalogue does not class', (stage) => {
    const { saves, restores, notSaves, foldedSaves, stackMoves } = analyseMix(stage, kernel).ledger;
    expect(saves + restores + notSaves - foldedSaves).toBe(stackMoves);
    expect(saves).toBeGreaterThan(0);
  });
});
