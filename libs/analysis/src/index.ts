export type { TraceBlock } from './block-profile.js';
export * from './configuration.js';
export { type ColumnRanges, type Columns, Simulator, type SimulatorOptions } from './simulator.js';
export * from './statistics.js';
