import { readFileSync } from 'node:fs';

/** Reads and compiles the hot loop that the build put beside the library. */
export const loadAnalysisKernel = (): WebAssembly.Module =>
  new WebAssembly.Module(readFileSync(new URL('../../dist/kernel.wasm', import.meta.url)));
