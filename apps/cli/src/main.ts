import { AppError } from '@pvtrail/primitives';
import { Command, CommanderError } from 'commander';
import { addAudit } from './commands/audit.js';
import { addCompare } from './commands/compare.js';
import { addDead } from './commands/dead.js';
import { addEvents } from './commands/events.js';
import { addRun } from './commands/run.js';
import { addCancel, addRuns } from './commands/runs.js';
import { addSites } from './commands/sites.js';
import { addStart } from './commands/start.js';
import { addUp } from './commands/up.js';
import { addVerify } from './commands/verify.js';
import { type CommandContext, commandContext, type GlobalOptions } from './context.js';

const USAGE = 2;
const FAILURE = 1;

const program = new Command('pvtrail')
  .description(
    'What the 2009 pvops series did to register saves, instructions, cache references and cycles, from real machine code',
  )
  .option('--data <folder>', 'where events and statistics are kept', process.env.PVTRAIL_DATA ?? '.pvtrail')
  .option('--server <url>', 'an API that does the work instead of this process', process.env.PVTRAIL_SERVER)
  .showHelpAfterError('(--help lists commands and options)')
  .exitOverride();

const context = (): CommandContext => commandContext(program.opts<GlobalOptions>());

for (const add of [
  addStart,
  addRun,
  addCompare,
  addSites,
  addEvents,
  addRuns,
  addCancel,
  addAudit,
  addDead,
  addVerify,
  addUp,
])
  add(program, context);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  else if (error instanceof AppError) {
    process.stderr.write(`pvtrail: ${error.code}: ${error.message}\n`);
    process.exitCode = FAILURE;
  } else throw error;
}
