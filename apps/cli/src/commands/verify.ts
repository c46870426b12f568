import type { Command } from 'commander';
import type { CommandContext } from '../context.js';
import { verificationTable, verifyFiles } from '../trace-verification.js';

export const addVerify = (program: Command, context: () => CommandContext): void => {
  program
    .command('verify')
    .description('check kept trace chunks: structure, counts, digests, continuity of control flow')
    .argument('<file...>', 'chunk files, in any order')
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .action((files: string[], { json }: { json?: boolean }) => {
      const traces = verifyFiles(files);
      context().print(json, { traces }, () => verificationTable(traces));
    });
};
