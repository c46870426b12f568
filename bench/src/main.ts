import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BENCHMARKS, type Benchmark, ITERATIONS, UNITS } from './benchmarks.js';
import type { Figures } from './measures.js';
import { type Result, type Results, resultsTable, writeIntoReadme } from './results.js';

const HELP = `Usage: npm run bench -- [options]

Measures how fast pvtrail executes, records, encodes, analyses and stores, each run in a process of its own, and prints medians.

  --only NAME,…     of ${BENCHMARKS.map(({ name }) => name).join(', ')}
  --workload W,…    default mix,fork
  --iterations N    of the workload's counted region; default ${Object.entries(ITERATIONS)
    .map(([name, n]) => `${name} ${n}`)
    .join(', ')}
  --runs N          default 5
  --json            one line of JSON a figure: name, workload, value, unit, ratio to the plain loop, runs
  --save            keep the results in bench/results.json and their table in bench/README.md
`;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: BENCHMARKS.map(({ name }) => name).join(',') },
    workload: { type: 'string', default: 'mix,fork' },
    iterations: { type: 'string' },
    runs: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const MEASURE = fileURLToPath(new URL('./measure.js', import.meta.url));

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const measure = (name: string, workload: string, iterations: number): Figures =>
  JSON.parse(
    execFileSync(process.execPath, [MEASURE, name, workload, String(iterations)], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    }),
  );

const iterationsOf = (workload: string): number =>
  Number(options.iterations ?? ITERATIONS[workload as keyof typeof ITERATIONS] ?? 100);

/** Each run of the benchmark beside one of the plain loop, so that a slow moment of the machine slows both. */
const resultsOf = ({ name }: Benchmark, workload: string | undefined): Result[] => {
  const runs = Array.from({ length: Number(options.runs) }, () => {
    const { 'plain-loop': loop = Number.NaN } = measure('plain-loop', 'mix', 1);
    return { figures: measure(name, workload ?? 'mix', iterationsOf(workload ?? 'mix')), loop };
  });
  return Object.keys(runs[0]?.figures ?? {}).map((figure) => {
    const figureOf = ({ figures }: (typeof runs)[number]): number => figures[figure] ?? Number.NaN;
    const isRate = name !== 'plain-loop' && (UNITS[figure] ?? '').endsWith('/s');
    return {
      name: figure,
      ...(workload === undefined ? {} : { workload }),
      value: median(runs.map(figureOf)),
      unit: UNITS[figure] ?? '',
      ...(isRate ? { ratio: median(runs.map((run) => figureOf(run) / run.loop)) } : {}),
      runs: runs.map(figureOf),
    };
  });
};

const report = (result: Result): void => {
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stderr.write(`${result.name} ${result.workload ?? ''} ${result.value.toPrecision(4)} ${result.unit}\n`);
};

const runAll = (): Results => {
  const wanted = options.only.split(',');
  const unknown = wanted.find((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
  if (unknown !== undefined) throw new RangeError(`no benchmark '${unknown}'\n\n${HELP}`);
  const results: Result[] = [];
  for (const benchmark of BENCHMARKS.filter(({ name }) => wanted.includes(name))) {
    for (const workload of benchmark.perWorkload ? options.workload.split(',') : [undefined]) {
      const found = resultsOf(benchmark, workload);
      found.forEach(report);
      results.push(...found);
    }
  }
  const cpu = os.cpus()[0]?.model.trim() ?? 'unknown CPU';
  const machine = `${os.cpus().length} cores ${cpu}, ${Math.round(os.totalmem() / 2 ** 30)} GiB`;
  return { machine, node: process.version, date: new Date().toISOString().slice(0, 10), results };
};

if (options.help) process.stdout.write(HELP);
else {
  const all = runAll();
  if (!options.json) process.stdout.write(resultsTable(all));
  if (options.save) {
    fs.writeFileSync(fileURLToPath(new URL('../results.json', import.meta.url)), `${JSON.stringify(all, null, 2)}\n`);
    writeIntoReadme(fileURLToPath(new URL('../README.md', import.meta.url)), resultsTable(all));
  }
}
