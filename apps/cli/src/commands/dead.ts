import { AppError } from '@pvtrail/primitives';
import type { DeadLetter, DeadLetterPlace } from '@pvtrail/reporting';
import type { Command } from 'commander';
import { compactTable } from '../compact-table.js';
import type { CommandContext } from '../context.js';

const deadTable = (letters: readonly DeadLetter[]): string => {
  if (letters.length === 0) return 'no message is in a dead-letter topic\n';
  const table = compactTable(['place', 'key', 'type', 'error', 're-driven']);
  for (const { topic, partition, offset, key, type, code, redriven } of letters) {
    table.push([`${topic}/${partition}/${offset}`, key, type ?? '', code, redriven ? 'yes' : '']);
  }
  return `${table.toString()}\n`;
};

/** @throws AppError `input/invalid` for what is no place of a dead letter */
const placeOf = (text: string): DeadLetterPlace => {
  const [, topic, partition, offset] = /^(.+)\/(\d+)\/(\d+)$/.exec(text) ?? [];
  if (topic !== undefined) return { topic, partition: Number(partition), offset: Number(offset) };
  throw new AppError('input/invalid', `'${text}' is no place as \`pvtrail dead\` prints it: TOPIC/PARTITION/OFFSET`);
};

export const addDead = (program: Command, context: () => CommandContext): void => {
  program
    .command('dead')
    .description('messages that could not be handled, with the reason; or publishes one of them again')
    .option(
      '--redrive <place>',
      'publish the message at TOPIC/PARTITION/OFFSET to its topic again, once its cause is mended',
    )
    .option('--json', 'one JSON document on stdout (docs/cli.md)')
    .action(async ({ redrive, json }: { redrive?: string; json?: boolean }) => {
      const { note, print, withPvtrail } = context();
      await withPvtrail(async (pvtrail) => {
        if (redrive !== undefined) {
          await pvtrail.redrive(placeOf(redrive));
          note(`${redrive} is in its topic again`);
        }
        const letters = await pvtrail.answers.deadLetters();
        print(json, { letters }, () => deadTable(letters));
      });
    });
};
