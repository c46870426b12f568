import type { Workload } from '@pvtrail/contracts';
import { ENCODER_AREA } from '@pvtrail/emulator';
import { digestOf } from '@pvtrail/primitives';
import { type EncodedChunk, sealChunk, TraceEncoder } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { seconds } from './seconds.js';
import { finishWorkload, startedGuest } from './workload-guest.js';

/** The chunks of a guest from its boot on, with the time spent in the encoder and the compressor alone. */
export const encodedTrace = (workload: Workload, iterations: number) => {
  const sealed: Uint8Array[] = [];
  const time = { encode: 0, compress: 0 };
  let encoder: TraceEncoder | undefined;
  const seal = (chunks: readonly EncodedChunk[]): void => {
    time.compress += seconds(() => sealed.push(...chunks.map((chunk) => sealChunk(chunk))));
  };
  const guest = startedGuest(workload, iterations, (columns, { memory, blocks }) => {
    let chunks: readonly EncodedChunk[] = [];
    time.encode += seconds(() => {
      encoder ??= new TraceEncoder({
        kernel: loadTraceKernel(),
        memory,
        workBase: ENCODER_AREA.offset,
        guest: digestOf('bench'),
      });
      chunks = encoder.append(columns, blocks);
    });
    seal(chunks);
  });
  finishWorkload(guest);
  if (encoder !== undefined) seal([encoder.finish()]);
  return { sealed, time, instructions: guest.instructions };
};
