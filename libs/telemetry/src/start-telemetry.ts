import { telemetryConfig } from './config.js';

/** Telemetry of this process. */
export type Telemetry = {
  /** Sends what is left, within the deadline, and switches telemetry off. Never rejects: work does not fail because nobody watches. */
  stop(deadlineMs?: number): Promise<void>;
};

const OFF: Telemetry = { stop: async () => {} };

/**
 * Sends traces and metrics of this process over OTLP/HTTP if the environment names an endpoint; loads no SDK otherwise.
 * @param serviceName `service.name`, unless OTEL_SERVICE_NAME says another
 * @param env the standard OTEL_* variables; the exporters read theirs (endpoint, headers, compression, certificates) from process.env
 * @param onWarning told when telemetry cannot be sent
 * @throws AppError `config/invalid`
 */
export const startTelemetry = async (
  serviceName: string,
  env: NodeJS.ProcessEnv,
  onWarning: (message: string) => void = () => {},
): Promise<Telemetry> => {
  const config = telemetryConfig(env);
  if (config.traces === undefined && config.metrics === undefined) return OFF;
  const { startSdk } = await import('./sdk.js');
  return startSdk(serviceName, config, onWarning);
};
