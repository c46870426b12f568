import type { CollectedSpan } from './collected-span.js';

/** Why the spans of a trace are not one connected tree with one root; empty when they are. */
export const traceFaults = (spans: readonly CollectedSpan[], traceId: string): string[] => {
  const trace = spans.filter((span) => span.traceId === traceId);
  const byId = new Map(trace.map((span) => [span.spanId, span]));
  const roots = trace.filter(({ parentSpanId }) => parentSpanId === undefined);
  const faults = trace.filter(({ parentSpanId }) => parentSpanId !== undefined && !byId.has(parentSpanId));
  return [
    ...(roots.length === 1 ? [] : [`${roots.length} roots: ${roots.map(nameOf).join(', ')}`]),
    ...(byId.size === trace.length ? [] : ['a span id is there twice']),
    ...faults.map((span) => `${nameOf(span)} has a parent that is not there`),
  ];
};

const nameOf = ({ service, name, spanId }: CollectedSpan): string => `${service}: ${name} (${spanId})`;
