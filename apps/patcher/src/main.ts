import { runService } from '@pvtrail/service';
import { PatcherModule } from './patcher.module.js';
import { PatcherService } from './patcher.service.js';

await runService({
  name: 'patcher',
  port: 8082,
  usesStore: false,
  module: ({ log }) => PatcherModule.register({ log }),
  working: [PatcherService],
});
