export { type Artefacts, differingArtefacts } from './artefacts.js';
export { buildKernel, type KernelBuild } from './build.js';
export { decodeStackInstructions, type StackInstruction } from './stack-instructions.js';
export { compilerMismatch } from './toolchain.js';
