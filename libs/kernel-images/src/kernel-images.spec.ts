import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { digestOf } from '@pvtrail/primitives';
import { afterAll, describe, expect, it } from 'vitest';
import { imageSetOf, openKernelImages } from './index.js';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-images-'));
afterAll(() => fs.rmSync(root, { recursive: true }));

/** A folder of images with these files. */
const folderOf = (name: string, files: Readonly<Record<string, string>>) => {
  fs.mkdirSync(path.join(root, name));
  for (const [file, text] of Object.entries(files)) fs.writeFileSync(path.join(root, name, file), text);
  return openKernelImages(name, root);
};

describe('imageSetOf', () => {
  it.each([
    [{ type: 'native', bits: 64, paging: '4level' }, 'native-64'],
    [{ type: 'native', bits: 64, paging: '4level', pvSpinlocks: false }, 'native-64-pvlocks-off'],
    [{ type: 'xen', bits: 32, paging: 'pae' }, 'xen-32-pae'],
  ] as const)('names the folder of %o', (guest, folder) => {
    expect(imageSetOf(guest)).toBe(folder);
  });
});

describe('the images of a native guest of 64 bit', () => {
  const images = openKernelImages(imageSetOf({ type: 'native', bits: 64, paging: '4level' }));

  it('are an image without call sites, and one that all patch sets start from', () => {
    expect(images.catalogue('nopv').sites).toEqual([]);
    expect(images.patchSets().base).toBe('v2.6.29');
    expect(images.elf('v2.6.30')).toBe(images.elf('v2.6.29'));
    expect(images.elf('nopv')).not.toEqual(images.elf('v2.6.29'));
    expect(images.elfDigest('nopv')).toBe(digestOf(images.elf('nopv')));
  });

  it('give direct-call the catalogue of v2.6.30', () => {
    expect(images.catalogue('direct-call')).toBe(images.catalogue('v2.6.30'));
  });

  it('are read once', () => {
    expect(openKernelImages('native-64')).toBe(images);
  });
});

describe('files of a guest kernel', () => {
  it('that are missing are named, with the command that makes them', () => {
    const images = folderOf('empty', {});
    const missing = { code: 'image/missing', message: expect.stringMatching(/nopv\.elf .*guest-kernel:build/) };
    expect(() => images.elf('nopv')).toThrow(expect.objectContaining(missing));
    expect(() => images.patchSets()).toThrow(expect.objectContaining({ code: 'image/missing' }));
  });

  it.each([
    ['no JSON', '{"format": 1'],
    ['of another shape', '{"format": 1, "sets": 3}'],
    ['of another version', '{"format": 2, "base": "v2.6.29", "sets": []}'],
  ])('that are %s are refused', (name, text) => {
    const images = folderOf(name.replaceAll(' ', '-'), { 'patch-sets.json': text });
    const corrupt = { code: 'image/corrupt', message: expect.stringContaining('patch-sets.json') };
    expect(() => images.patchSets()).toThrow(expect.objectContaining(corrupt));
  });
});
