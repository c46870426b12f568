import fs from 'node:fs';
import { AppError } from '@pvtrail/primitives';
import {
  DECODER_WORK_BYTES,
  readHeader,
  splitChunks,
  TraceDecoder,
  TraceVerifier,
  type VerifiedTrace,
} from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import Table from 'cli-table3';

interface TraceFile {
  readonly name: string;
  readonly guest: string;
  readonly sequence: number;
}

const WASM_PAGE_BYTES = 65536;
/** A file is read whole; a chunk has at most 2 MiB, and a longer trace is kept in several files. */
const MAX_FILE_BYTES = 1 << 30;

const newDecoder = (): TraceDecoder => {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(DECODER_WORK_BYTES / WASM_PAGE_BYTES) });
  return new TraceDecoder({ kernel: loadTraceKernel(), memory, workBase: 0 });
};

/** Runs a task on a file; an expected failure names it. */
const inFile = <T>(name: string, task: () => T): T => {
  try {
    return task();
  } catch (error) {
    if (error instanceof AppError) throw new AppError(error.code, `${name}: ${error.message}`, error.details, error);
    throw error;
  }
};

const readTraceFile = (name: string): Buffer => {
  const found = fs.statSync(name, { throwIfNoEntry: false });
  if (!found?.isFile()) throw new AppError('input/not-found', 'there is no such file');
  if (found.size > MAX_FILE_BYTES) {
    throw new AppError('trace/too-large', `it has ${found.size} bytes; at most ${MAX_FILE_BYTES} are read`);
  }
  return fs.readFileSync(name);
};

const inspect = (name: string): TraceFile => {
  const { header } = readHeader(readTraceFile(name));
  return { name, guest: header.guest, sequence: header.sequence };
};

const verifyTrace = (files: readonly TraceFile[], decoder: TraceDecoder): VerifiedTrace[] => {
  const verifier = new TraceVerifier((chunk) => decoder.decode(chunk));
  for (const { name } of files) {
    inFile(name, () => {
      for (const chunk of splitChunks(readTraceFile(name))) verifier.add(chunk);
    });
  }
  return verifier.summary === undefined ? [] : [verifier.summary];
};

/**
 * Verifies files of chunks, in any order: those of one guest must be consecutive chunks of its trace.
 * @throws AppError as `TraceVerifier.add`, naming the file; `input/not-found`
 */
export const verifyFiles = (names: readonly string[]): VerifiedTrace[] => {
  const files = names.map((name) => inFile(name, () => inspect(name)));
  const guests = Map.groupBy(
    files.toSorted((a, b) => a.sequence - b.sequence),
    ({ guest }) => guest,
  );
  const decoder = newDecoder();
  return [...guests.values()].flatMap((ofGuest) => verifyTrace(ofGuest, decoder));
};

export const verificationTable = (traces: readonly VerifiedTrace[]): string => {
  const table = new Table({
    head: ['guest', 'chunks', 'from', 'instructions', 'in the kernel', 'blocks', 'addresses', 'complete'],
    style: { head: [], border: [] },
  });
  for (const trace of traces) {
    const { guest, chunks, firstSequence, instructions, kernelInstructions, executions, addresses } = trace;
    const counts = [chunks, firstSequence, instructions, kernelInstructions, executions, addresses];
    table.push([guest.slice(0, 12), ...counts, trace.complete ? 'yes' : 'no']);
  }
  return `${table.toString()}\n`;
};
