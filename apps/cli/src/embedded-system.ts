import path from 'node:path';
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AnalyticsModule, AnalyticsService } from '@pvtrail/analytics';
import { ApiModule, RunCoordinator } from '@pvtrail/api';
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
}

/** Below the data folder. */
const TRACES = 'traces';

@Module({})
class EmbeddedModule {}

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
  const app = await NestFactory.createApplicationContext(
    {
      module: EmbeddedModule,
      imports: [
        ApiModule.register({ log, store }),
        PatcherModule.register({ log }),
        AnalyticsModule.register({ log, trace, store, workers: options.analysisWorkers }),
        GuestRunnerModule.register({
          log,
          trace,
          workers: options.guestWorkers,
          ...(options.keepTrace ? { tracesFolder: path.join(options.dataFolder, TRACES) } : {}),
        }),
      ],
    },
    { logger: false },
  );
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
