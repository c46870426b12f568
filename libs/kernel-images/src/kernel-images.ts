import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppError, type Digest, digestOf } from '@pvtrail/primitives';
import type { KernelCatalogue, PatchSetFile } from '@pvtrail/pvops';
import { z } from 'zod';
import { catalogueSchema, patchSetFileSchema } from './schemas.js';

/** One set of built guest kernels: `native-64`, `xen-32-pae`, …; files are read once. */
export interface KernelImages {
  /** The linked image that a stage starts from: `nopv`, or the base of the patch sets. @throws AppError `image/missing` */
  elf(stage: string): Uint8Array;
  /** SHA-256 of `elf(stage)`. */
  elfDigest(stage: string): Digest;
  /**
   * `as-posted`: the series before later fixes were folded into its stages; only 32-bit PAE guests have it (definitions §1).
   * @throws AppError `image/missing`, `image/corrupt`
   */
  patchSets(series?: 'measured' | 'as-posted'): PatchSetFile;
  /** @throws AppError `image/missing`, `image/corrupt` */
  catalogue(stage: string): KernelCatalogue;
}

const DEFAULT_FOLDER = fileURLToPath(new URL('../../../guest-kernel/images', import.meta.url));

const once = <T>(compute: (name: string) => T): ((name: string) => T) => {
  const known = new Map<string, T>();
  return (name) => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const value = compute(name);
    known.set(name, value);
    return value;
  };
};

/**
 * One instance a folder: what was read and checked once is shared.
 * @param set the folder's name below `root`: guest type, bits and, on 32 bit, paging
 * @throws AppError `input/unsupported-combination` naming the sets that are there
 */
export const openKernelImages = (set: string, root: string = DEFAULT_FOLDER): KernelImages => {
  const folder = path.join(root, set);
  if (!fs.existsSync(folder)) refuse(set, root);
  return openFolder(folder);
};

const refuse = (set: string, root: string): void => {
  const sets = fs.existsSync(root) ? fs.readdirSync(root).toSorted() : [];
  if (sets.length === 0) return;
  throw new AppError('input/unsupported-combination', `there is no guest kernel ${set}; valid: ${sets.join(', ')}`);
};

const openFolder = once((folder): KernelImages => {
  const read = once((name) => readFile(folder, name));
  const json = once((name) => parseJson(name, read(name)));
  const elfName = (stage: string): string => (stage === 'nopv' ? 'nopv.elf' : 'v2.6.29.elf');
  const digest = once((name) => digestOf(read(name)));
  const patchSets = once((name) => parse(patchSetFileSchema, name, json(name)));
  const catalogue = once((name) => parse(catalogueSchema, name, json(name)));
  return {
    elf: (stage) => read(elfName(stage)),
    elfDigest: (stage) => digest(elfName(stage)),
    patchSets: (series = 'measured') =>
      patchSets(series === 'measured' ? 'patch-sets.json' : 'patch-sets-as-posted.json'),
    // direct-call has no image of its own (definitions §1): it is the v2.6.30 kernel, patched under another rule
    catalogue: (stage) => catalogue(`${stage === 'direct-call' ? 'v2.6.30' : stage}.catalogue.json`),
  };
});

const readFile = (folder: string, name: string): Uint8Array => {
  try {
    // a plain array: Buffer's slice() would share memory with what callers take for a copy
    return new Uint8Array(fs.readFileSync(path.join(folder, name)));
  } catch (cause) {
    throw new AppError(
      'image/missing',
      `the guest kernel file ${name} cannot be read in ${folder}; \`npm run guest-kernel:build\` makes it`,
      {},
      cause,
    );
  }
};

const parseJson = (name: string, bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new AppError('image/corrupt', `${name} is no JSON`, {}, cause);
  }
};

const parse = <T>(schema: z.ZodType<T>, name: string, value: unknown): T => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new AppError('image/corrupt', `${name} is not as docs/adr/004 says: ${z.prettifyError(result.error)}`);
};
