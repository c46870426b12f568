import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { StoredAnswers } from '@pvtrail/reporting';
import { tracedRequests } from '@pvtrail/telemetry';
import { ApiModule } from '../api.module.js';
import type { RunCoordinatorOptions } from '../run-coordinator.js';
import { TokenGuard } from './access.js';
import { AnswersController } from './answers.controller.js';
import { DeadLettersController, EVENT_LOG } from './dead-letters.controller.js';
import { ProblemFilter } from './problem.filter.js';
import { RunsController } from './runs.controller.js';

export interface HttpOptions extends RunCoordinatorOptions {
  /** Demanded as a bearer token; undefined: of nobody. */
  readonly token?: string | undefined;
  /** Requests that one address may make in a minute. */
  readonly requestsPerMinute?: number;
}

const MINUTE_MS = 60_000;
const REQUESTS_PER_MINUTE = 600;
const MAX_BODY = '1mb';

/** The REST API over the coordinator of runs and what is stored. */
@Module({})
export class HttpModule {
  static register({ token, requestsPerMinute = REQUESTS_PER_MINUTE, ...options }: HttpOptions): DynamicModule {
    return {
      module: HttpModule,
      imports: [
        ApiModule.register(options),
        ThrottlerModule.forRoot({ throttlers: [{ ttl: MINUTE_MS, limit: requestsPerMinute }] }),
      ],
      controllers: [RunsController, AnswersController, DeadLettersController],
      providers: [
        { provide: StoredAnswers, useFactory: () => new StoredAnswers(options.log, options.store) },
        { provide: EVENT_LOG, useValue: options.log },
        { provide: APP_FILTER, useClass: ProblemFilter },
        { provide: APP_GUARD, useClass: ThrottlerGuard },
        { provide: APP_GUARD, useFactory: () => new TokenGuard(token) },
      ],
      exports: [ApiModule],
    };
  }
}

/** Tracing, and limits that hold before a controller sees a request. */
export const configureHttp = (app: NestExpressApplication): void => {
  app.use(tracedRequests());
  app.useBodyParser('json', { limit: MAX_BODY });
  app.set('query parser', 'simple');
};
