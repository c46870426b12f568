import { type DynamicModule, Module } from '@nestjs/common';
import { RunCoordinator } from './run-coordinator.js';

type Options = ConstructorParameters<typeof RunCoordinator>[0];

/** The service with its ports already opened by whoever composes the process. */
@Module({})
export class ApiModule {
  static register(options: Options): DynamicModule {
    return {
      module: ApiModule,
      providers: [{ provide: RunCoordinator, useFactory: () => new RunCoordinator(options) }],
      exports: [RunCoordinator],
    };
  }
}
