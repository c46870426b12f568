import { AppError } from '@pvtrail/primitives';
import { z } from 'zod';

/** As the specification says, an empty variable is an unset one. */
const setVariables = (env: NodeJS.ProcessEnv): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));

const protocol = z.enum(['http/json', 'http/protobuf']);
const exporter = z.enum(['otlp', 'none']).default('otlp');
/** In milliseconds where it is a time. */
const positive = (initial: number) => z.coerce.number().int().min(1).default(initial);

/** A fleet of 10,000 guests is requested in a burst, a span each; with the specification's 2048 some were lost. */
const QUEUE_SIZE = 16_384;
/** The largest batch of messages: its span is linked to each. The specification has 128. */
const LINKS = 1024;

/** What of the standard OTEL_* variables the SDK does not read itself; defaults are the specification's unless named above. */
const variables = z.object({
  OTEL_SDK_DISABLED: z.stringbool().default(false),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.url().optional(),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: z.url().optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol.default('http/protobuf'),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol.optional(),
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: protocol.optional(),
  OTEL_TRACES_EXPORTER: exporter,
  OTEL_METRICS_EXPORTER: exporter,
  OTEL_TRACES_SAMPLER: z
    .enum([
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ])
    .default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  OTEL_BSP_SCHEDULE_DELAY: positive(5000),
  OTEL_BSP_EXPORT_TIMEOUT: positive(30_000),
  OTEL_BSP_MAX_QUEUE_SIZE: positive(QUEUE_SIZE),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: positive(512),
  OTEL_SPAN_LINK_COUNT_LIMIT: positive(LINKS),
  OTEL_METRIC_EXPORT_INTERVAL: positive(60_000),
  OTEL_METRIC_EXPORT_TIMEOUT: positive(30_000),
});

type Variables = z.output<typeof variables>;

export type Protocol = z.output<typeof protocol>;
export type SamplerName = Variables['OTEL_TRACES_SAMPLER'];

/** What is exported and how; a signal that is undefined is off. Where to, the exporters read from the environment themselves. */
export type TelemetryConfig = {
  readonly traces:
    | {
        readonly protocol: Protocol;
        readonly sampler: SamplerName;
        readonly ratio: number;
        readonly linkCountLimit: number;
        readonly batch: {
          readonly scheduledDelayMillis: number;
          readonly exportTimeoutMillis: number;
          readonly maxQueueSize: number;
          readonly maxExportBatchSize: number;
        };
      }
    | undefined;
  readonly metrics:
    | { readonly protocol: Protocol; readonly exportIntervalMillis: number; readonly exportTimeoutMillis: number }
    | undefined;
};

/** @throws AppError `config/invalid` naming every wrong variable */
export const telemetryConfig = (env: NodeJS.ProcessEnv): TelemetryConfig => {
  const parsed = variables.safeParse(setVariables(env));
  if (!parsed.success) throw new AppError('config/invalid', z.prettifyError(parsed.error));
  return { traces: tracesOf(parsed.data), metrics: metricsOf(parsed.data) };
};

const tracesOf = (v: Variables): TelemetryConfig['traces'] => {
  const endpoint = v.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? v.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (v.OTEL_SDK_DISABLED || v.OTEL_TRACES_EXPORTER === 'none' || endpoint === undefined) return undefined;
  return {
    protocol: v.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? v.OTEL_EXPORTER_OTLP_PROTOCOL,
    sampler: v.OTEL_TRACES_SAMPLER,
    ratio: v.OTEL_TRACES_SAMPLER_ARG,
    linkCountLimit: v.OTEL_SPAN_LINK_COUNT_LIMIT,
    batch: {
      scheduledDelayMillis: v.OTEL_BSP_SCHEDULE_DELAY,
      exportTimeoutMillis: v.OTEL_BSP_EXPORT_TIMEOUT,
      maxQueueSize: v.OTEL_BSP_MAX_QUEUE_SIZE,
      maxExportBatchSize: v.OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    },
  };
};

const metricsOf = (v: Variables): TelemetryConfig['metrics'] => {
  const endpoint = v.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT ?? v.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (v.OTEL_SDK_DISABLED || v.OTEL_METRICS_EXPORTER === 'none' || endpoint === undefined) return undefined;
  return {
    protocol: v.OTEL_EXPORTER_OTLP_METRICS_PROTOCOL ?? v.OTEL_EXPORTER_OTLP_PROTOCOL,
    exportIntervalMillis: v.OTEL_METRIC_EXPORT_INTERVAL,
    exportTimeoutMillis: v.OTEL_METRIC_EXPORT_TIMEOUT,
  };
};
