import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { imageSetOf } from './image-set.js';
import { openKernelImages } from './kernel-images.js';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-images-'));
for (const set of ['xen-64', 'native-64']) fs.mkdirSync(path.join(root, set));

afterAll(() => fs.rmSync(root, { recursive: true }));

const failureOf = (action: () => unknown): unknown => {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('openKernelImages', () => {
  it('refuses a guest without a kernel and names those that have one', () => {
    const set = imageSetOf({ type: 'xen', bits: 32, paging: 'pae' });
    expect(failureOf(() => openKernelImages(set, root))).toMatchObject({
      code: 'input/unsupported-combination',
      message: 'there is no guest kernel xen-32-pae; valid: native-64, xen-64',
    });
  });

  it('says how to make a file that is missing', () => {
    expect(failureOf(() => openKernelImages('xen-64', root).patchSets())).toMatchObject({
      code: 'image/missing',
      message: expect.stringContaining('npm run guest-kernel:build'),
    });
  });

  it('says so too where there are no kernels at all', () => {
    const images = openKernelImages('native-64', path.join(root, 'nowhere'));
    expect(failureOf(() => images.elf('nopv'))).toMatchObject({ code: 'image/missing' });
  });
});
