import { type DynamicModule, Module } from '@nestjs/common';
import { AnalyticsService } from './analytics.service.js';

type Options = ConstructorParameters<typeof AnalyticsService>[0];

/** The service with its ports already opened by whoever composes the process. */
@Module({})
export class AnalyticsModule {
  static register(options: Options): DynamicModule {
    return {
      module: AnalyticsModule,
      providers: [{ provide: AnalyticsService, useFactory: () => new AnalyticsService(options) }],
      exports: [AnalyticsService],
    };
  }
}
