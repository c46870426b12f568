import { runService } from '@pvtrail/service';
import { tokenFrom } from './http/access.js';
import { configureHttp, HttpModule } from './http/http.module.js';
import { RunCoordinator } from './run-coordinator.js';

await runService({
  name: 'api',
  port: 8080,
  usesStore: true,
  module: ({ log, store, configuration }) =>
    HttpModule.register({
      log,
      store,
      replay: true,
      token: tokenFrom(process.env, configuration.http.host),
    }),
  working: [RunCoordinator],
  configure: configureHttp,
});
