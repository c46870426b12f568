import { loadAnalysisKernel } from '../src/node/index.js';

/** The compiled hot loop, as `npm run build` makes it. */
export const kernelModule = loadAnalysisKernel();
