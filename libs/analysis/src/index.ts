export * from './configuration.js';
export * from './statistics.js';
