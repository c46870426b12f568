import { type DynamicModule, Module } from '@nestjs/common';
import { PatcherService } from './patcher.service.js';

type Options = ConstructorParameters<typeof PatcherService>[0];

/** The service with its ports already opened by whoever composes the process. */
@Module({})
export class PatcherModule {
  static register(options: Options): DynamicModule {
    return {
      module: PatcherModule,
      providers: [{ provide: PatcherService, useFactory: () => new PatcherService(options) }],
      exports: [PatcherService],
    };
  }
}
