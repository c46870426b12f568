import path from 'node:path';
import 'reflect-metadata';
import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AnalyticsModule, AnalyticsService } from '@pvtrail/analytics';
import { ApiModule, configureHttp, HttpModule, RunCoordinator } from '@pvtrail/api';
import { type ColumnStore, openColumnStore } from '@pvtrail/column-store';
import { type EventLog, MemoryTransport, openSqliteLog, tracedLog, tracedTransport } from '@pvtrail/event-log';
import { GuestRunnerModule, GuestRunnerService } from '@pvtrail/guest-runner';
import { PatcherModule, PatcherService } from '@pvtrail/patcher';
import { type Answers, StoredAnswers } from '@pvtrail/reporting';

export interface EmbeddedSystem {
  readonly log: EventLog;
  readonly store: ColumnStore;
  readonly coordinator: RunCoordinator;
  readonly answers: Answers;
  /** Of the API, if it is served. */
  readonly url: string | undefined;
  /** Rejects when one of the services cannot go on. */
  readonly failed: Promise<never>;
  /** Ends the services and closes log and store. @throws what a service could not go on from */
  close(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Folder of the event log and the store. */
  readonly dataFolder: string;
  readonly guestWorkers: number;
  readonly analysisWorkers: number;
  /** Keep trace chunks as files in the data folder. */
  readonly keepTrace: boolean;
  /** Serve the API on this port of loopback (0: any that is free), and know all runs of the log. */
  readonly http?: { readonly port: number };
}

/** Below the data folder. */
const TRACES = 'traces';

@Module({})
class EmbeddedModule {}

const serve = async (root: DynamicModule, port: number): Promise<[NestExpressApplication, string]> => {
  const app = await NestFactory.create<NestExpressApplication>(root, { logger: false });
  configureHttp(app);
  await app.listen(port, '127.0.0.1');
  return [app, await app.getUrl()];
};

/** All four services in this process, over an embedded log and store. @throws AppError `log/*`, `store/*` */
export const openEmbeddedSystem = async (options: EmbeddedOptions): Promise<EmbeddedSystem> => {
  const log = tracedLog(openSqliteLog({ file: path.join(options.dataFolder, 'events.sqlite') }), 'sqlite');
  const store = await openColumnStore({ path: path.join(options.dataFolder, 'store') }).catch(
    async (error: unknown) => {
      await log.close();
      throw error;
    },
  );
  const trace = tracedTransport(new MemoryTransport(), 'memory');
  const { http } = options;
  const root = {
    module: EmbeddedModule,
    imports: [
      http === undefined ? ApiModule.register({ log, store }) : HttpModule.register({ log, store, replay: true }),
      PatcherModule.register({ log }),
      AnalyticsModule.register({ log, trace, store, workers: options.analysisWorkers }),
      GuestRunnerModule.register({
        log,
        trace,
        workers: options.guestWorkers,
        ...(options.keepTrace ? { tracesFolder: path.join(options.dataFolder, TRACES) } : {}),
      }),
    ],
  };
  const [app, url] =
    http === undefined
      ? [await NestFactory.createApplicationContext(root, { logger: false }), undefined]
      : await serve(root, http.port);
  const services = [
    app.get(RunCoordinator),
    app.get(PatcherService),
    app.get(AnalyticsService),
    app.get(GuestRunnerService),
  ];
  const failed = Promise.race(services.map((service) => service.finished.then(() => new Promise<never>(() => {}))));
  let failure: { readonly error: unknown } | undefined;
  failed.catch((error: unknown) => {
    failure = { error };
  });
  return {
    log,
    store,
    coordinator: app.get(RunCoordinator),
    answers: new StoredAnswers(log, store),
    url,
    failed,
    close: async () => {
      await app.close();
      await log.close();
      await store.close();
      // Also one that came up while the services copied what was left.
      if (failure !== undefined) throw failure.error;
    },
  };
};
