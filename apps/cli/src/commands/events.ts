import fs from 'node:fs';
import path from 'node:path';
import type { AnyEvent } from '@pvtrail/contracts';
import { openSqliteLogReader } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { eventsOf } from '@pvtrail/reporting';
import type { Command } from 'commander';
import type { CommandContext } from '../context.js';

/** Without the store, which only one process may open: events can be read while a run is under way. */
const readEvents = async (file: string, id: string): Promise<AnyEvent[]> => {
  if (!fs.existsSync(file)) {
    throw new AppError('input/not-found', `there is no event log in ${path.dirname(file)}; \`pvtrail run\` makes one`);
  }
  const log = openSqliteLogReader(file);
  try {
    return await eventsOf(log, id);
  } finally {
    await log.close();
  }
};

export const addEvents = (program: Command, context: () => CommandContext): void => {
  program
    .command('events')
    .description('list the events of a run or guest: what was asked for, patched and finished')
    .argument('<id>', 'a run id or a guest id, as `pvtrail run` prints them')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const { dataFolder, isRemote, print, withPvtrail } = context();
      const events = isRemote
        ? await withPvtrail(({ answers }) => answers.events(id))
        : await readEvents(path.join(dataFolder, 'events.sqlite'), id);
      print(json, { events }, () => events.map(({ time, type, subject }) => `${time} ${subject} ${type}\n`).join(''));
    });
};
