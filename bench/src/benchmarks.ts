import type { Workload } from '@pvtrail/contracts';
import { kafkaLog } from './kafka-log.js';
import { analyse, encode, execute, type Figures, pipeline, plainLoop, record, start } from './measures.js';
import { storeUnits } from './store-measure.js';

export interface Benchmark {
  readonly name: string;
  /** Whether it runs a workload of its own choice, or one that is given. */
  readonly perWorkload: boolean;
  readonly run: (workload: Workload, iterations: number) => Figures | Promise<Figures>;
}

/** In the order in which they are run; the plain loop stands beside each of the others. */
export const BENCHMARKS: readonly Benchmark[] = [
  { name: 'plain-loop', perWorkload: false, run: plainLoop },
  { name: 'execute', perWorkload: true, run: execute },
  { name: 'record', perWorkload: true, run: record },
  { name: 'encode', perWorkload: true, run: encode },
  { name: 'analyse', perWorkload: true, run: analyse },
  { name: 'store', perWorkload: false, run: storeUnits },
  { name: 'pipeline', perWorkload: true, run: pipeline },
  { name: 'kafka-log', perWorkload: false, run: kafkaLog },
  { name: 'start', perWorkload: false, run: start },
];

/** Iterations that give about 160 million instructions. */
export const ITERATIONS: Readonly<Partial<Record<Workload, number>>> = { mix: 40, fork: 3000 };

export const UNITS: Readonly<Record<string, string>> = {
  'plain-loop': 'Mturns/s',
  'execute.mips': 'M instructions/s',
  'execute.cold.mips': 'M instructions/s',
  'record.mips': 'M instructions/s',
  'record.cold.mips': 'M instructions/s',
  'encode.mips': 'M instructions/s',
  'compress.mips': 'M instructions/s',
  'analyse.mips': 'M instructions/s',
  'pipeline.mips': 'M instructions/s',
  'store.unitMs': 'ms',
  'store.unitCpuMs': 'ms of CPU',
  'trace.bytesPerInstruction': 'byte/instruction',
  'kafka.publish.100kB': 'MB/s',
  'kafka.publish.256kB': 'MB/s',
  'kafka.publish.1MB': 'MB/s',
  'kafka.consume.100kB': 'MB/s',
  'kafka.consume.256kB': 'MB/s',
  'kafka.consume.1MB': 'MB/s',
  'kafka.log.latencyP99Ms': 'ms',
  'start.seconds': 's',
  'start.maxRssMiB': 'MiB',
};
