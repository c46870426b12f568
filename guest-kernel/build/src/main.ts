import fs from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { AppError } from '@pvtrail/primitives';
import { differingArtefacts, writeArtefacts } from './artefacts.js';
import { buildKernel, type GuestBuild, type KernelBuild } from './build.js';
import {
  configurationOf,
  GUEST_CONFIGURATIONS,
  type GuestConfiguration,
  linkOfStage,
  NATIVE_64,
  stagesOf,
} from './stages.js';

const HELP = `Builds the guest kernel: all stages of the pvops series, their patch sets and catalogues.

  node guest-kernel/build/dist/main.js            remake guest-kernel/images
  node guest-kernel/build/dist/main.js --check    build, and compare with guest-kernel/images: exit code 1 when a file differs
  node guest-kernel/build/dist/main.js --stage S  write the separately linked image of a stage to ./<S>.elf and nothing else
      stages: ${stagesOf(NATIVE_64).join(', ')}
  --guest G      with --stage: the guest (default: ${NATIVE_64.folder})
      guests: ${GUEST_CONFIGURATIONS.map(({ folder }) => folder).join(', ')}
  --kernel DIR   the folder with src/, user/ and images/ (default: guest-kernel of this project)
`;

const OPTIONS = {
  help: { type: 'boolean' },
  check: { type: 'boolean' },
  stage: { type: 'string' },
  guest: { type: 'string', default: NATIVE_64.folder },
  kernel: { type: 'string' },
} as const;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

const writeStage = async (kernelFolder: string, guest: GuestConfiguration, stage: string): Promise<number> => {
  const link = linkOfStage(guest, stage).name;
  const built = await buildKernel(kernelFolder, [guest]);
  await fs.writeFile(`${stage}.elf`, built.guests.get(guest.folder)?.images.get(link)?.bytes ?? new Uint8Array(0));
  say(`wrote ${stage}.elf`);
  return 0;
};

const check = async (built: KernelBuild, folder: string): Promise<number> => {
  const differing = await differingArtefacts(folder, built.artefacts);
  if (differing.length === 0) say(`${built.artefacts.size} files equal a rebuild`);
  else say(`differ from a rebuild: ${differing.join(', ')}`);
  return differing.length === 0 ? 0 : 1;
};

const summary = ([folder, { layout }]: [string, GuestBuild]): string => {
  const { text, rodata, data, bss } = layout.regions;
  return `${folder}: text ${text.bytes}, rodata ${rodata.bytes}, data ${data.bytes}, bss ${bss.bytes} bytes`;
};

/** @returns the exit code */
const main = async (): Promise<number> => {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const kernelFolder = path.resolve(values.kernel ?? path.join(import.meta.dirname, '../..'));
  const images = path.join(kernelFolder, 'images');
  if (values.stage !== undefined) return writeStage(kernelFolder, configurationOf(values.guest), values.stage);
  const built = await buildKernel(kernelFolder);
  if (values.check) return check(built, images);
  await writeArtefacts(images, built.artefacts);
  say(`wrote ${built.artefacts.size} files`);
  for (const guest of built.guests) say(summary(guest));
  return 0;
};

main().then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof AppError ? `${error.code}: ${error.message}` : String(error)}\n`);
    process.exitCode = 2;
  },
);
