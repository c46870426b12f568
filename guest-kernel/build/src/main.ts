import fs from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { AppError } from '@pvtrail/primitives';
import { differingArtefacts, writeArtefacts } from './artefacts.js';
import { buildKernel, type KernelBuild } from './build.js';
import { linkOfStage, STAGES } from './stages.js';

const HELP = `Builds the guest kernel: all stages of the pvops series, their patch sets and catalogues.

  node guest-kernel/build/dist/main.js            remake guest-kernel/images
  node guest-kernel/build/dist/main.js --check    build, and compare with guest-kernel/images: exit code 1 when a file differs
  node guest-kernel/build/dist/main.js --stage S  write the separately linked image of a stage to ./<S>.elf and nothing else
      stages: ${STAGES.join(', ')}
  --kernel DIR   the folder with src/, user/ and images/ (default: guest-kernel of this project)
`;

const OPTIONS = {
  help: { type: 'boolean' },
  check: { type: 'boolean' },
  stage: { type: 'string' },
  kernel: { type: 'string' },
} as const;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

const writeStage = async (built: KernelBuild, stage: string): Promise<number> => {
  await fs.writeFile(`${stage}.elf`, built.images.get(linkOfStage(stage).name)?.bytes ?? new Uint8Array(0));
  say(`wrote ${stage}.elf`);
  return 0;
};

const check = async (built: KernelBuild, folder: string): Promise<number> => {
  const differing = await differingArtefacts(folder, built.artefacts);
  if (differing.length === 0) say(`${built.artefacts.size} files equal a rebuild`);
  else say(`differ from a rebuild: ${differing.join(', ')}`);
  return differing.length === 0 ? 0 : 1;
};

const summary = (built: KernelBuild): string => {
  const { text, rodata, data, bss } = built.layout.regions;
  return `wrote ${built.artefacts.size} files; text ${text.bytes}, rodata ${rodata.bytes}, data ${data.bytes}, bss ${bss.bytes} bytes`;
};

/** @returns the exit code */
const main = async (): Promise<number> => {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.stage !== undefined) linkOfStage(values.stage);
  const kernelFolder = path.resolve(values.kernel ?? path.join(import.meta.dirname, '../..'));
  const images = path.join(kernelFolder, 'images');
  const built = await buildKernel(kernelFolder);
  if (values.stage !== undefined) return writeStage(built, values.stage);
  if (values.check) return check(built, images);
  await writeArtefacts(images, built.artefacts);
  say(summary(built));
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
