export { type CollectedSpan, startCollector, type TestCollector } from './collector.js';
export { type Recording, startRecording } from './recording.js';
export { traceFaults } from './trace-faults.js';
