import { type DynamicModule, Module } from '@nestjs/common';
import { GuestRunnerService } from './guest-runner.service.js';

type Options = ConstructorParameters<typeof GuestRunnerService>[0];

/** The service with its ports already opened by whoever composes the process. */
@Module({})
export class GuestRunnerModule {
  static register(options: Options): DynamicModule {
    return {
      module: GuestRunnerModule,
      providers: [{ provide: GuestRunnerService, useFactory: () => new GuestRunnerService(options) }],
      exports: [GuestRunnerService],
    };
  }
}
