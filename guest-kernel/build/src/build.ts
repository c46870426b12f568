import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { AppError } from '@pvtrail/primitives';
import { type Artefacts, readableJson } from './artefacts.js';
import { makeCatalogue, type StageBuild } from './catalogue.js';
import { KernelCompiler, type KernelObject, WIDTH } from './compile.js';
import { type LinkedImage, linkImage } from './link.js';
import { loadableDigest } from './loadable.js';
import { makePatchSets } from './patch-sets.js';
import { layOutSlots, type SlotLayout } from './slots.js';
import { BASE_STAGE, BASELINE_STAGE, LINKS, linkOfStage, STAGES } from './stages.js';
import { compilerMismatch, mapParallel } from './toolchain.js';
import { buildUserProgram } from './user-program.js';

/** Everything that one build made. */
export interface KernelBuild {
  readonly layout: SlotLayout;
  /** Linked images by name of the link: stages, and the single follow-ups of `v2.6.30`. */
  readonly images: ReadonlyMap<string, LinkedImage>;
  /** The files of `guest-kernel/images`, by path below it. */
  readonly artefacts: Artefacts;
}

const ARTEFACT_FOLDER = 'native-64';

/**
 * Builds all stages of the kernel in `kernelFolder` (with `src/` and `user/`) in a temporary folder, which is removed.
 * @throws AppError `config/invalid` with another compiler, `input/invalid` for sources that do not build, `image/corrupt` when
 *   folding does not give a stage, `analysis/unclassified-save`
 */
export const buildKernel = async (kernelFolder: string): Promise<KernelBuild> => {
  const mismatch = await compilerMismatch();
  if (mismatch !== null) throw new AppError('config/invalid', `the guest kernel needs gcc of Debian 12: ${mismatch}`);
  const workFolder = await fs.mkdtemp(path.join(os.tmpdir(), 'guest-kernel-'));
  try {
    return await buildIn(kernelFolder, workFolder);
  } finally {
    await fs.rm(workFolder, { recursive: true, force: true });
  }
};

const buildIn = async (kernelFolder: string, workFolder: string): Promise<KernelBuild> => {
  const userFunctions = await buildUserProgram(path.join(kernelFolder, 'user'), workFolder);
  const compiler = new KernelCompiler(path.join(kernelFolder, 'src'), workFolder);
  const objects = new Map<string, KernelObject[]>();
  for (const link of LINKS) objects.set(link.name, await compiler.compile(link));
  const layout = layOutSlots([...objects.values()]);
  const images = new Map(
    await mapParallel([...objects], WIDTH, async ([name, own]): Promise<[string, LinkedImage]> => {
      const folder = path.join(workFolder, `link-${name}`);
      return [name, await linkImage(own, layout, folder)];
    }),
  );
  const patchSets = makePatchSets(layout, images);
  const artefacts = new Map<string, Uint8Array>();
  const add = (name: string, bytes: Uint8Array): unknown => artefacts.set(`${ARTEFACT_FOLDER}/${name}`, bytes);
  const digests: Record<string, string> = {};
  for (const stage of STAGES) {
    const built = stageBuild(stage, objects, images);
    digests[stage] = loadableDigest(built.image.elf.segments);
    if (stage === BASELINE_STAGE || stage === BASE_STAGE) add(`${stage}.elf`, built.image.bytes);
    add(`${stage}.catalogue.json`, readableJson(makeCatalogue(built, layout, userFunctions)));
  }
  add('patch-sets.json', readableJson(patchSets));
  add('sha256.json', readableJson(digests));
  return { layout, images, artefacts };
};

const stageBuild = (
  stage: string,
  objects: ReadonlyMap<string, KernelObject[]>,
  images: ReadonlyMap<string, LinkedImage>,
): StageBuild => {
  const link = linkOfStage(stage);
  const image = images.get(link.name);
  if (!image) throw new AppError('image/missing', `no image was linked for '${link.name}'`);
  return { link, objects: objects.get(link.name) ?? [], image };
};
