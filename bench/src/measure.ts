// One measurement in a process of its own: `node measure.js NAME WORKLOAD ITERATIONS` prints its figures as JSON.
import type { Workload } from '@pvtrail/contracts';
import { BENCHMARKS } from './benchmarks.js';

const [name = '', workload = 'mix', iterations = '1'] = process.argv.slice(2);
const benchmark = BENCHMARKS.find((candidate) => candidate.name === name);
if (benchmark === undefined) throw new RangeError(`no benchmark ${name}`);
const figures = await benchmark.run(workload as Workload, Number(iterations));
process.stdout.write(JSON.stringify(figures));
