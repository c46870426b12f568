import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace';
import { install } from '../sdk.js';
import type { CollectedSpan } from './collected-span.js';

/** Spans and metrics of this process, kept in memory. */
export type Recording = {
  /** Those that have ended, in that order. */
  readonly spans: readonly CollectedSpan[];
  /** Sum of a counter, or number of values of a histogram, over all attributes; 0 when nothing was measured. */
  measured(instrument: string): Promise<number>;
  stop(): Promise<void>;
};

const NEVER_MS = 2 ** 31 - 1;

export const startRecording = (): Recording => {
  const spans: CollectedSpan[] = [];
  const collect: SpanProcessor = {
    onStart: () => {},
    onEnd: (span) => void spans.push(collected(span)),
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter: metrics,
    exportIntervalMillis: NEVER_MS,
    exportTimeoutMillis: NEVER_MS,
  });
  const telemetry = install({
    spanProcessors: [collect],
    metricReaders: [reader],
  });
  return {
    spans,
    measured: async (instrument) => {
      await reader.forceFlush();
      const points = metrics
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap((scope) => scope.metrics)
        .filter(({ descriptor }) => descriptor.name === instrument)
        .flatMap(({ dataPoints }): readonly { value: unknown }[] => dataPoints);
      return (points ?? []).reduce((sum, { value }) => sum + amountOf(value), 0);
    },
    stop: () => telemetry.stop(),
  };
};

const amountOf = (value: unknown): number =>
  typeof value === 'number' ? value : (value as { readonly count: number }).count;

const KINDS = ['internal', 'server', 'client', 'producer', 'consumer'] as const;

const collected = (span: ReadableSpan): CollectedSpan => {
  const { traceId, spanId } = span.spanContext();
  return {
    service: String(span.resource.attributes['service.name']),
    name: span.name,
    kind: KINDS[span.kind] ?? 'internal',
    traceId,
    spanId,
    parentSpanId: span.parentSpanContext?.spanId,
    links: span.links.map(({ context }) => ({ traceId: context.traceId, spanId: context.spanId })),
    attributes: span.attributes,
    failed: span.status.code === 2,
  };
};
