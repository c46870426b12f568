import 'reflect-metadata';
import { type DynamicModule, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { type ColumnStore, openColumnStore } from '@pvtrail/column-store';
import { TOPICS } from '@pvtrail/contracts';
import { type EventLog, openKafkaLog, tracedLog } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { startTelemetry } from '@pvtrail/telemetry';
import { Logger, LoggerModule } from 'nestjs-pino';
import { type Logger as Pino, pino } from 'pino';
import { configurationFrom, type ServiceConfiguration } from './environment.js';
import { healthModule, type Probe } from './health.js';
import { metricsModule } from './metrics.js';

/** What a service is given: its ports opened, its configuration checked. */
export interface ServiceParts {
  readonly configuration: ServiceConfiguration;
  readonly log: EventLog;
  /** @throws AppError `config/invalid` for a service that did not say that it uses the store */
  readonly store: ColumnStore;
}

/** A provider that works until it is stopped. */
interface Working {
  /** Rejects when it cannot go on. */
  readonly finished: Promise<unknown>;
}

export interface ServiceDefinition {
  readonly name: string;
  /** Of its HTTP server unless the environment says otherwise. */
  readonly port: number;
  readonly usesStore: boolean;
  module(parts: ServiceParts): DynamicModule;
  /** Providers whose failure ends the process. */
  readonly working: readonly Type<Working>[];
  /** Before the server listens: body limits, documentation, … */
  configure?(app: NestExpressApplication, parts: ServiceParts): void;
}

const FAILURE = 1;

const probesOf = (parts: ServiceParts, usesStore: boolean): Record<string, Probe> => ({
  broker: async () => {
    for await (const _ of parts.log.read(TOPICS.runs, { key: 'probe' })) return;
  },
  ...(usesStore ? { store: () => parts.store.ping() } : {}),
});

const openParts = async (
  { name, usesStore }: ServiceDefinition,
  configuration: ServiceConfiguration,
  logger: Pino,
): Promise<ServiceParts> => {
  const kafka = await openKafkaLog({
    ...configuration.kafka,
    clientId: `pvtrail-${name}`,
    onLog: ({ level, message, details }) => logger[level](details, message),
  });
  const store = usesStore && configuration.store !== undefined ? await openColumnStore(configuration.store) : undefined;
  return {
    configuration,
    log: tracedLog(kafka, 'kafka'),
    get store() {
      if (store === undefined) throw new AppError('config/invalid', `${name} does not use the store`);
      return store;
    },
  };
};

const createApp = async (
  definition: ServiceDefinition,
  parts: ServiceParts,
  logger: Pino,
): Promise<NestExpressApplication> => {
  @Module({})
  class ServiceModule {}

  const { name, usesStore } = definition;
  const app = await NestFactory.create<NestExpressApplication>(
    {
      module: ServiceModule,
      imports: [
        // headers may carry the API's token
        LoggerModule.forRoot({
          pinoHttp: {
            logger,
            serializers: {
              req: ({ id, method, url }) => ({ id, method, url }),
              res: ({ statusCode }) => ({ statusCode }),
            },
          },
        }),
        healthModule(probesOf(parts, usesStore)),
        metricsModule(name),
        definition.module(parts),
      ],
    },
    { bufferLogs: true },
  );
  app.useLogger(app.get(Logger));
  app.disable('x-powered-by');
  definition.configure?.(app, parts);
  return app;
};

/** Ends the process when a graceful stop takes longer than it may. */
const stopWithin = async (ms: number, logger: Pino, stop: () => Promise<unknown>): Promise<void> => {
  const timer = setTimeout(() => {
    logger.error({ ms }, 'the graceful stop took too long');
    process.exit(FAILURE);
  }, ms);
  await stop();
  clearTimeout(timer);
};

/**
 * Runs a service of its own process until SIGTERM or SIGINT, until a parent with a channel to it is gone, or until it cannot go on (status 1). What it was doing is finished and
 * committed, and its groups are left, before the process ends.
 */
export const runService = async (definition: ServiceDefinition): Promise<void> => {
  const logger = pino({ name: definition.name });
  try {
    const configuration = configurationFrom(process.env, definition);
    logger.level = configuration.logLevel;
    const telemetry = await startTelemetry(`pvtrail-${definition.name}`, process.env, (message) =>
      logger.warn(message),
    );
    const parts = await openParts(definition, configuration, logger);
    const app = await createApp(definition, parts, logger);
    const stopped = Promise.withResolvers<void>();
    const end = (reason: string): void => {
      logger.info({ reason }, 'stopping');
      stopped.resolve();
    };
    process.once('SIGTERM', () => end('SIGTERM'));
    process.once('SIGINT', () => end('SIGINT'));
    process.once('disconnect', () => end('the process that started this one is gone'));
    process.channel?.unref();
    await app.listen(configuration.http.port, configuration.http.host);
    logger.info({ url: await app.getUrl() }, 'listening');
    await Promise.race([stopped.promise, ...definition.working.map((type) => failureOf(app.get(type)))]).catch(
      (error) => {
        process.exitCode = FAILURE;
        logger.fatal(error, 'cannot go on');
      },
    );
    await stopWithin(configuration.shutdownMs, logger, async () => {
      await app.close();
      await parts.log.close();
      if (definition.usesStore) await parts.store.close();
      await telemetry.stop();
    });
  } catch (error) {
    logger.fatal(error instanceof AppError ? { code: error.code } : error, String(error));
    // What is open already, such as a member of a group, would keep the process alive, holding partitions.
    process.exit(FAILURE);
  }
};

/** Never resolves: a service that ends without a failure was stopped. */
const failureOf = async ({ finished }: Working): Promise<never> => {
  await finished;
  return new Promise<never>(() => {});
};
