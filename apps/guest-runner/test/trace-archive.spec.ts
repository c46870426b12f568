import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ChunkProduced } from '@pvtrail/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TraceArchive } from '../src/trace-archive.js';

const GUEST = 'a'.repeat(32);
const chunk = (sequence: number) => ({ guestId: GUEST, sequence }) as ChunkProduced;

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-archive-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

describe('the archive of traces', () => {
  it('keeps each chunk as a file of its guest', async () => {
    await new TraceArchive(folder).keep(chunk(7), Uint8Array.of(1, 2));
    expect([...fs.readFileSync(path.join(folder, GUEST, '000007.pvtrace'))]).toEqual([1, 2]);
  });

  it('a full disk is log/disk-full, and no part of a chunk is left', async (context) => {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' });
    } catch {
      context.skip(true, 'skipped, because a small file system cannot be mounted here');
    }
    try {
      const archive = new TraceArchive(folder);
      await archive.keep(chunk(0), new Uint8Array(10_000));
      const full = archive.keep(chunk(1), new Uint8Array(100_000));
      await expect(full).rejects.toMatchObject({ code: 'log/disk-full' });
      expect(fs.readdirSync(path.join(folder, GUEST))).toEqual(['000000.pvtrace']);
    } finally {
      execFileSync('umount', [folder]);
    }
  });

  it('a folder that is a file is log/unavailable', async () => {
    fs.writeFileSync(path.join(folder, GUEST), '');
    await expect(new TraceArchive(folder).keep(chunk(0), Uint8Array.of(1))).rejects.toMatchObject({
      code: 'log/unavailable',
    });
  });
});
