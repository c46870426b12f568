import { runService } from '@pvtrail/service';
import { AnalyticsModule } from './analytics.module.js';
import { AnalyticsService } from './analytics.service.js';

await runService({
  name: 'analytics',
  port: 8083,
  usesStore: true,
  module: ({ log, store, configuration }) =>
    AnalyticsModule.register({ log, trace: log, store, workers: configuration.workers }),
  working: [AnalyticsService],
});
