import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeFolder } from './node.js';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-folder-'));
afterAll(() => fs.rmSync(root, { recursive: true }));

describe('making a folder', () => {
  it('makes those above it too, and takes what is there', () => {
    const folder = path.join(root, 'a/b/c');
    makeFolder(folder);
    makeFolder(folder);
    expect(fs.statSync(folder).isDirectory()).toBe(true);
  });

  it('follows links to folders', () => {
    fs.symlinkSync(root, path.join(root, 'link'));
    makeFolder(path.join(root, 'link'));
    makeFolder(path.join(root, 'link/below'));
    expect(fs.existsSync(path.join(root, 'below'))).toBe(true);
  });

  it('refuses files and links to nowhere', () => {
    fs.writeFileSync(path.join(root, 'file'), '');
    fs.symlinkSync(path.join(root, 'nowhere'), path.join(root, 'dangling'));
    expect(() => makeFolder(path.join(root, 'file'))).toThrow(/EEXIST/);
    expect(() => makeFolder(path.join(root, 'file/below'))).toThrow(/ENOTDIR/);
    expect(() => makeFolder(path.join(root, 'dangling/below'))).toThrow(/ENOENT/);
  });

  it.runIf(process.platform === 'linux')('fails at once where there can be no folder', () => {
    expect(() => makeFolder('/proc/nowhere/below')).toThrow(/ENOENT/);
  });
});
