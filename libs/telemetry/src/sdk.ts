import { setTimeout as delay } from 'node:timers/promises';
import { context, type DiagLogger, DiagLogLevel, diag, metrics, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { loggingErrorHandler, setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import { type IMetricReader, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanLimits,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Protocol, SamplerName, TelemetryConfig } from './config.js';
import type { Telemetry } from './start-telemetry.js';

/** Time for what is left at the end. */
const FLUSH_MS = 5000;

type Pipeline = {
  readonly resource?: Resource;
  readonly sampler?: Sampler;
  readonly spanLimits?: SpanLimits;
  readonly spanProcessors: SpanProcessor[];
  readonly metricReaders: IMetricReader[];
};

export const startSdk = async (
  serviceName: string,
  { traces, metrics: metricsConfig }: TelemetryConfig,
  onWarning: (message: string) => void,
): Promise<Telemetry> => {
  setGlobalErrorHandler((error) => onWarning(messageOf(error)));
  diag.setLogger(warningsTo(onWarning), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  return install({
    resource: resourceOf(serviceName),
    ...(traces === undefined
      ? {}
      : {
          sampler: samplerOf(traces.sampler, traces.ratio),
          spanLimits: { linkCountLimit: traces.linkCountLimit },
        }),
    spanProcessors:
      traces === undefined
        ? []
        : [new BatchSpanProcessor({ exporter: await traceExporter(traces.protocol), ...traces.batch })],
    metricReaders:
      metricsConfig === undefined
        ? []
        : [
            new PeriodicExportingMetricReader({
              exporter: await metricExporter(metricsConfig.protocol),
              exportIntervalMillis: metricsConfig.exportIntervalMillis,
              exportTimeoutMillis: Math.min(metricsConfig.exportTimeoutMillis, metricsConfig.exportIntervalMillis),
            }),
          ],
  });
};

/** Registers providers for the whole process. */
export const install = ({ metricReaders, ...tracing }: Pipeline): Telemetry => {
  const { resource } = tracing;
  const tracers = new TracerProvider(tracing);
  const meters = new MeterProvider({ ...(resource === undefined ? {} : { resource }), readers: metricReaders });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(tracers);
  metrics.setGlobalMeterProvider(meters);
  return {
    stop: async (deadlineMs = FLUSH_MS) => {
      const flushed = Promise.allSettled([tracers.shutdown(), meters.shutdown()]);
      const timer = new AbortController();
      const late = await Promise.race([flushed.then(() => false), delay(deadlineMs, true, { signal: timer.signal })]);
      timer.abort();
      if (late) diag.warn(`what was left could not be sent within ${deadlineMs} ms`);
      setGlobalErrorHandler(loggingErrorHandler());
      for (const global of [trace, metrics, propagation, context, diag]) global.disable();
    },
  };
};

const resourceOf = (serviceName: string): Resource =>
  defaultResource()
    .merge(resourceFromAttributes({ 'service.name': serviceName, 'service.namespace': 'pvtrail' }))
    .merge(detectResources({ detectors: [serviceInstanceIdDetector, envDetector] }));

const samplerOf = (name: SamplerName, ratio: number): Sampler => {
  const [base, parentBased] = name.startsWith('parentbased_')
    ? [name.slice('parentbased_'.length), true]
    : [name, false];
  const root = ROOT_SAMPLERS[base as keyof typeof ROOT_SAMPLERS](ratio);
  return parentBased ? new ParentBasedSampler({ root }) : root;
};

const ROOT_SAMPLERS = {
  always_on: () => new AlwaysOnSampler(),
  always_off: () => new AlwaysOffSampler(),
  traceidratio: (ratio: number) => new TraceIdRatioBasedSampler(ratio),
} satisfies Record<string, (ratio: number) => Sampler>;

const traceExporter = async (protocol: Protocol) => {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter();
};

const metricExporter = async (protocol: Protocol) => {
  const { OTLPMetricExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-metrics-otlp-http')
      : await import('@opentelemetry/exporter-metrics-otlp-proto');
  return new OTLPMetricExporter();
};

const messageOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);

const warningsTo = (onWarning: (message: string) => void): DiagLogger => {
  const warn = (message: string, ...rest: unknown[]): void => onWarning([message, ...rest].map(String).join(' '));
  const quiet = (): void => {};
  return { error: warn, warn, info: quiet, debug: quiet, verbose: quiet };
};
