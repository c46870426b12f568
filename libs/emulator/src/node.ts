import { readFileSync } from 'node:fs';

/** Reads and compiles the kernel that the build put beside the library. */
export const loadEmulatorKernel = (): WebAssembly.Module =>
  new WebAssembly.Module(readFileSync(new URL('../dist/kernel.wasm', import.meta.url)));
