import { ENCODER_AREA } from '@pvtrail/emulator';
import { digestOf } from '@pvtrail/primitives';
import { type ChunkDictionary, openEncoded, type RawColumns, TraceDecoder, TraceEncoder } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { type Observation, observe, type Wanted } from './observed-guest.js';

const kernel = loadTraceKernel();

/** Runs a guest and hands over its chunks in order, each encoded and decoded again into `memory` from 0 on. */
export const traceChunks = (
  wanted: Wanted,
  memory: WebAssembly.Memory,
  take: (dictionary: ChunkDictionary, columns: RawColumns) => void,
): Observation => {
  const decoder = new TraceDecoder({ kernel, memory, workBase: 0 });
  let encoder: TraceEncoder | undefined;
  const decode = (encoded: ReturnType<TraceEncoder['finish']>): void => {
    const chunk = openEncoded(encoded);
    take(chunk.dictionary, decoder.decode(chunk));
  };
  const observation = observe({
    ...wanted,
    trace: (columns, machine) => {
      encoder ??= new TraceEncoder({
        kernel,
        memory: machine.memory,
        workBase: ENCODER_AREA.offset,
        guest: digestOf(JSON.stringify(wanted)),
      });
      for (const encoded of encoder.append(columns, machine.blocks)) decode(encoded);
    },
  });
  if (encoder !== undefined) decode(encoder.finish());
  return observation;
};
