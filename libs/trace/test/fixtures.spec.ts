import fs from 'node:fs';
import path from 'node:path';
import { toHex } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { type ChunkDictionary, decodeReference, FORMAT_VERSION, openChunk, verifySequence } from '../src/index.js';
import { TestBench } from './test-bench.js';

const folder = path.join(import.meta.dirname, 'fixtures');
const names = fs.readdirSync(folder).filter((name) => name.endsWith('.pvtrace'));
const chunkOf = (name: string): Uint8Array => Uint8Array.from(fs.readFileSync(path.join(folder, name)));

const words = (column: Uint32Array): string => Array.from(column, (word) => word.toString(16)).join(' ');

const blocksOf = (dictionary: ChunkDictionary) =>
  Array.from({ length: dictionary.count }, (_, block) => ({
    virt: dictionary.virt(block).toString(16),
    phys: dictionary.phys(block).toString(16),
    physNextPage: dictionary.physNextPage(block).toString(16),
    user: dictionary.user(block),
    bits: dictionary.bits(block),
    rep: dictionary.rep(block),
    instructions: dictionary.instructions(block),
    slots: dictionary.slots(block),
    bytes: toHex(dictionary.bytes(block)),
  }));

describe('chunks kept of every version', () => {
  const bench = new TestBench();

  it('has some of the version that is written now', () => {
    expect(names.filter((name) => name.startsWith(`version-${FORMAT_VERSION}-`)).length).toBeGreaterThan(0);
  });

  it.each(names)('%s decodes to the columns kept beside it', (name) => {
    const kept = JSON.parse(fs.readFileSync(path.join(folder, name.replace('.pvtrace', '.json')), 'utf8'));
    const chunk = openChunk(chunkOf(name));
    expect(chunk.header).toEqual(kept.header);
    expect(blocksOf(chunk.dictionary)).toEqual(kept.blocks);
    for (const { events, addresses, extras } of [decodeReference(chunk), bench.decoder().decode(chunk)]) {
      expect(words(events)).toBe(kept.events);
      expect(words(addresses)).toBe(kept.addresses);
      expect(words(extras)).toBe(kept.extras);
    }
  });

  it('are one trace', () => {
    expect(verifySequence(names.map(chunkOf))).toMatchObject({ chunks: names.length, complete: true });
  });
});
