export { tracedRequests } from './http.js';
export { delivering, type MessagingSystem, processing, processingBatch, sending } from './messaging.js';
export { chunkAnalysed, chunkProduced, type Lag, observeLag, unitStored } from './metrics.js';
export { annotate, continuing, currentTraceparent, type Links, linksHere, withSpan } from './spans.js';
export { startTelemetry, type Telemetry } from './start-telemetry.js';
