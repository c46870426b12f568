// What scripts/build.mjs hands to the compiler of this folder.
import { assemblyConstants } from '../dist/state-layout.js';

export const constants = assemblyConstants();
