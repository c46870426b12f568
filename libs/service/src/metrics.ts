import { Controller, type DynamicModule, Get, Header, Module } from '@nestjs/common';
import { collectDefaultMetrics, Registry } from 'prom-client';

/** `/metrics` in Prometheus's text format: the process's own, and what the service registers. */
export const metricsModule = (service: string, registry = new Registry()): DynamicModule => {
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });

  @Controller('metrics')
  class MetricsController {
    @Get()
    @Header('content-type', registry.contentType)
    metrics() {
      return registry.metrics();
    }
  }

  @Module({})
  class MetricsModule {}

  return { module: MetricsModule, controllers: [MetricsController] };
};
