import { Controller, type DynamicModule, Get, Module } from '@nestjs/common';
import { HealthCheckService, HealthIndicatorService, TerminusModule } from '@nestjs/terminus';

/** Asks a component whether it answers; rejects when it does not. */
export type Probe = () => Promise<unknown>;

const PROBE_TIMEOUT_MS = 3_000;

const inTime = (probe: Probe): Promise<unknown> => {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${PROBE_TIMEOUT_MS} ms`)), PROBE_TIMEOUT_MS);
  return Promise.race([probe(), promise]).finally(() => clearTimeout(timer));
};

/** `/health/live` answers while the process does; `/health/ready` only when everything that the service needs answers too. */
export const healthModule = (probes: Readonly<Record<string, Probe>>): DynamicModule => {
  @Controller('health')
  class HealthController {
    constructor(
      readonly health: HealthCheckService,
      readonly indicator: HealthIndicatorService,
    ) {}

    @Get('live')
    live() {
      return { status: 'ok' };
    }

    @Get('ready')
    ready() {
      return this.health.check(
        Object.entries(probes).map(([name, probe]) => async () => {
          const indicator = this.indicator.check(name);
          try {
            await inTime(probe);
            return indicator.up();
          } catch (error) {
            return indicator.down(error instanceof Error ? error.message : String(error));
          }
        }),
      );
    }
  }

  @Module({})
  class HealthModule {}

  return {
    module: HealthModule,
    imports: [TerminusModule.forRoot({ logger: false })],
    controllers: [HealthController],
  };
};
