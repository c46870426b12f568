import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { AppError } from '@pvtrail/primitives';
import type { Bits } from '@pvtrail/pvops';
import { type Artefacts, readableJson } from './artefacts.js';
import { makeCatalogue, type StageBuild } from './catalogue.js';
import { KernelCompiler, type KernelObject, WIDTH } from './compile.js';
import type { ElfSymbol } from './elf-file.js';
import { type LinkedImage, linkImage } from './link.js';
import { loadableDigest } from './loadable.js';
import { MACHINES } from './machine.js';
import { makePatchSets } from './patch-sets.js';
import { layOutSlots, type SlotLayout } from './slots.js';
import {
  allLinks,
  BASE_STAGE,
  BASELINE_STAGE,
  GUEST_CONFIGURATIONS,
  type GuestConfiguration,
  linkOfStage,
  stagesOf,
} from './stages.js';
import { compilerMismatch, mapParallel } from './toolchain.js';
import { buildUserProgram } from './user-program.js';

/** What was built for one guest. */
export interface GuestBuild {
  readonly layout: SlotLayout;
  /** Linked images by name of the link: stages, and the single follow-ups of `v2.6.30`. */
  readonly images: ReadonlyMap<string, LinkedImage>;
}

/** Everything that one build made. */
export interface KernelBuild {
  /** By the guest's folder. */
  readonly guests: ReadonlyMap<string, GuestBuild>;
  /** The files of `guest-kernel/images`, by path below it. */
  readonly artefacts: Artefacts;
}

/**
 * Builds all stages of the kernel in `kernelFolder` (with `src/` and `user/`) for each guest in a temporary folder, which is removed.
 * @throws AppError `config/invalid` with another compiler, `input/invalid` for sources that do not build, `image/corrupt` when
 *   folding does not give a stage, `analysis/unclassified-save`
 */
export const buildKernel = async (
  kernelFolder: string,
  guests: readonly GuestConfiguration[] = GUEST_CONFIGURATIONS,
): Promise<KernelBuild> => {
  const mismatch = await compilerMismatch();
  if (mismatch !== null) throw new AppError('config/invalid', `the guest kernel needs gcc of Debian 12: ${mismatch}`);
  const workFolder = await fs.mkdtemp(path.join(os.tmpdir(), 'guest-kernel-'));
  try {
    return await buildIn(kernelFolder, workFolder, guests);
  } finally {
    await fs.rm(workFolder, { recursive: true, force: true });
  }
};

const buildIn = async (
  kernelFolder: string,
  workFolder: string,
  guests: readonly GuestConfiguration[],
): Promise<KernelBuild> => {
  const userFunctions = await buildUserPrograms(path.join(kernelFolder, 'user'), workFolder, guests);
  const compiler = new KernelCompiler(path.join(kernelFolder, 'src'), workFolder);
  const builds = new Map<string, GuestBuild>();
  const artefacts = new Map<string, Uint8Array>();
  for (const guest of guests) {
    const objects = await compileLinks(compiler, guest);
    const built = await linkGuest(guest, objects, path.join(workFolder, guest.folder));
    builds.set(guest.folder, built);
    for (const [name, bytes] of guestArtefacts(guest, objects, built, userFunctions.get(guest.bits) ?? []))
      artefacts.set(`${guest.folder}/${name}`, bytes);
  }
  return { guests: builds, artefacts };
};

const buildUserPrograms = async (
  userFolder: string,
  workFolder: string,
  guests: readonly GuestConfiguration[],
): Promise<ReadonlyMap<Bits, readonly ElfSymbol[]>> => {
  const programs = new Map<Bits, readonly ElfSymbol[]>();
  for (const bits of new Set(guests.map((guest) => guest.bits)))
    programs.set(bits, await buildUserProgram(userFolder, workFolder, MACHINES[bits]));
  return programs;
};

type LinkObjects = ReadonlyMap<string, readonly KernelObject[]>;

const compileLinks = async (compiler: KernelCompiler, guest: GuestConfiguration): Promise<LinkObjects> => {
  const objects = new Map<string, readonly KernelObject[]>();
  for (const link of allLinks(guest)) objects.set(link.name, await compiler.compile(guest, link));
  return objects;
};

const linkGuest = async (guest: GuestConfiguration, objects: LinkObjects, folder: string): Promise<GuestBuild> => {
  const machine = MACHINES[guest.bits];
  const layout = layOutSlots([...objects.values()], machine.kernelBase);
  const images = await mapParallel(
    [...objects],
    WIDTH,
    async ([name, own]): Promise<[string, LinkedImage]> => [
      name,
      await linkImage(own, layout, machine, path.join(folder, `link-${name}`)),
    ],
  );
  return { layout, images: new Map(images) };
};

const guestArtefacts = (
  guest: GuestConfiguration,
  objects: LinkObjects,
  { layout, images }: GuestBuild,
  userFunctions: readonly ElfSymbol[],
): Map<string, Uint8Array> => {
  const files = new Map<string, Uint8Array>();
  const digests: Record<string, string> = {};
  for (const stage of stagesOf(guest)) {
    const built = stageBuild(guest, stage, objects, images);
    digests[stage] = loadableDigest(built.image.elf.segments);
    if (stage === BASELINE_STAGE || stage === BASE_STAGE) files.set(`${stage}.elf`, built.image.bytes);
    files.set(`${stage}.catalogue.json`, readableJson(makeCatalogue(built, layout, userFunctions)));
  }
  files.set('patch-sets.json', readableJson(makePatchSets(layout, images, guest.links)));
  if (guest.asPosted)
    files.set('patch-sets-as-posted.json', readableJson(makePatchSets(layout, images, guest.asPosted)));
  files.set('sha256.json', readableJson(digests));
  return files;
};

const stageBuild = (
  guest: GuestConfiguration,
  stage: string,
  objects: LinkObjects,
  images: ReadonlyMap<string, LinkedImage>,
): StageBuild => {
  const link = linkOfStage(guest, stage);
  const image = images.get(link.name);
  if (!image) throw new AppError('image/missing', `no image was linked for '${link.name}'`);
  return { guest, link, objects: objects.get(link.name) ?? [], image };
};
