import { runService } from '@pvtrail/service';
import { GuestRunnerModule } from './guest-runner.module.js';
import { GuestRunnerService } from './guest-runner.service.js';

await runService({
  name: 'guest-runner',
  port: 8081,
  usesStore: false,
  module: ({ log, configuration }) => GuestRunnerModule.register({ log, trace: log, workers: configuration.workers }),
  working: [GuestRunnerService],
});
