import { ENCODER_AREA } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { openKernelImages } from '@pvtrail/kernel-images';
import { digestOf } from '@pvtrail/primitives';
import { decodeReference, openChunk, ReferenceEncoder, sealChunk, TraceEncoder, verifySequence } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { describe, expect, it } from 'vitest';
import { Guest, parseElf } from '../src/index.js';

const MIX = 7;
const GUEST = digestOf('guest');

/** Every workload of the kernel, a few iterations each: the chunks of both encoders, and what the machine itself counted. */
const recordMix = (kernel: string, stage: string) => {
  const chunks: Uint8Array[] = [];
  const ofReference: Uint8Array[] = [];
  const reference = new ReferenceEncoder(GUEST);
  let encoder: TraceEncoder | undefined;
  const guest = new Guest({
    image: parseElf(openKernelImages(kernel).elf(stage)),
    machine: loadEmulatorKernel(),
    instructionBudget: 1e9,
    parameters: {
      ramBytes: 64 << 20,
      workload: MIX,
      footprint: 0,
      iterations: 1,
      seed: 1,
      userCodeBytes: 49152,
      userDataBytes: 262144,
      timerPeriod: 2000,
      mixIterations: [2, 2, 1, 1, 2, 1, 2],
    },
    sink: (columns, { memory, blocks }) => {
      encoder ??= new TraceEncoder({
        kernel: loadTraceKernel(),
        memory,
        workBase: ENCODER_AREA.offset,
        guest: GUEST,
      });
      ofReference.push(...reference.append(columns, blocks).map((chunk) => sealChunk(chunk)));
      chunks.push(...encoder.append(columns, blocks).map((chunk) => sealChunk(chunk)));
    },
  });
  guest.boot();
  while (guest.proceed().kind !== 'exited');
  if (encoder === undefined) throw new Error('nothing was recorded');
  chunks.push(sealChunk(encoder.finish()));
  ofReference.push(sealChunk(reference.finish()));
  return { chunks, ofReference, instructions: guest.instructions };
};

const KERNELS: readonly (readonly [string, string])[] = [
  ['native-64', 'nopv'],
  ['native-64', 'v2.6.29'],
  ['native-32-pae', 'v2.6.29'],
  ['native-32-2level', 'nopv'],
];

describe.each(KERNELS)('the trace of a real kernel, %s of stage %s', (kernel, stage) => {
  const { chunks, ofReference, instructions } = recordMix(kernel, stage);

  it('is one unbroken run of control, from the first instruction to the exit', () => {
    expect(verifySequence(chunks)).toMatchObject({ guest: GUEST, firstSequence: 0, instructions, complete: true });
  });

  it('has interrupts, faults and repeated instructions in it', () => {
    const columns = chunks.map((chunk) => decodeReference(openChunk(chunk)));
    const kinds = new Set(columns.flatMap(({ events }) => Array.from(events, (event) => event >>> 24)));
    for (const kind of [0x81, 0x82, 0x83, 0x86]) expect(kinds).toContain(kind);
    expect(columns.some(({ extras }) => extras.length > 0)).toBe(true);
  });

  it('comes out the same from both encoders', () => {
    expect(chunks.map((chunk) => digestOf(chunk))).toEqual(ofReference.map((chunk) => digestOf(chunk)));
  });
});
