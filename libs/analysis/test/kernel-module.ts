import fs from 'node:fs';

/** The compiled hot loop, as `npm run build` makes it. */
export const kernelModule = new WebAssembly.Module(fs.readFileSync(new URL('../dist/kernel.wasm', import.meta.url)));
