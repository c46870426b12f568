import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';

/**
 * What generated code may spend in V8's baseline tier before it is compiled by the optimising one. A guest runs for a second or less:
 * with V8's default of ten times as much, it ends before its code is fast.
 */
const TIERING_BUDGET = 1_300_000;

/** Reads and compiles the kernel that the build put beside the library, and sets V8 up for generated code. */
export const loadEmulatorKernel = (): WebAssembly.Module => {
  setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
  return new WebAssembly.Module(readFileSync(new URL('../dist/kernel.wasm', import.meta.url)));
};
