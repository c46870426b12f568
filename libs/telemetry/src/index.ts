export { delivering, type MessagingSystem, processing, processingBatch, sending } from './messaging.js';
export { chunkProduced, measureAnalysis, measureGuest, measureInsert, measureRun } from './metrics.js';
export type { SpanAttributes, SpanName } from './names.js';
export { annotate, currentTraceparent, linksHere, withSpan } from './spans.js';
export { startTelemetry, type Telemetry } from './start-telemetry.js';
