export { BlockDescriptions } from './block-descriptions.js';
export type { TraceBlock } from './block-profile.js';
export * from './configuration.js';
export * from './cost-model.js';
export * from './metrics.js';
export { NaiveSimulator } from './naive-simulator.js';
export { Simulator, type SimulatorOptions } from './simulator.js';
export * from './statistics.js';
