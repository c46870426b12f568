import { AppError, SeededRandom } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { MAX_ELF_BYTES, parseElf } from './elf.js';

/** A minimal 64-bit executable: one segment of four bytes, one symbol. */
const smallElf = (): Uint8Array => {
  const file = new Uint8Array(0x200);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, 0xffffffff81000000n, true);
  view.setBigUint64(32, 64n, true);
  view.setBigUint64(40, 0x100n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, 2, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 5, true);
  view.setBigUint64(72, 0xf0n, true);
  view.setBigUint64(80, 0xffffffff81000000n, true);
  view.setBigUint64(88, 0x1000000n, true);
  view.setBigUint64(96, 4n, true);
  view.setBigUint64(104, 16n, true);
  file.set([0x90, 0x90, 0x90, 0xf4], 0xf0);
  view.setUint32(0x104, 2, true);
  view.setBigUint64(0x118, 0x180n, true);
  view.setBigUint64(0x120, 24n, true);
  view.setUint32(0x128, 1, true);
  view.setBigUint64(0x158, 0x1a0n, true);
  view.setBigUint64(0x160, 6n, true);
  view.setUint32(0x180, 1, true);
  view.setUint16(0x186, 1, true);
  view.setBigUint64(0x188, 0xffffffff81000000n, true);
  file.set(Buffer.from('\0main\0', 'latin1'), 0x1a0);
  return file;
};

const codeOf = (bytes: Uint8Array): string => {
  try {
    parseElf(bytes);
    return 'accepted';
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
};

describe('parseElf', () => {
  it('reads segments, entry and symbols', () => {
    const image = parseElf(smallElf());
    expect(image).toMatchObject({ bits: 64, entry: 0xffffffff81000000n });
    expect(image.segments).toMatchObject([{ phys: 0x1000000, memoryBytes: 16, executable: true, writable: false }]);
    expect([...(image.segments[0]?.bytes ?? [])]).toEqual([0x90, 0x90, 0x90, 0xf4]);
    expect(image.symbols.get('main')).toBe(0xffffffff81000000n);
  });

  it('refuses a truncated file at every length', () => {
    const whole = smallElf();
    for (let length = 0; length < 0x1a5; length++) expect(codeOf(whole.subarray(0, length))).toBe('elf/malformed');
  });

  it('refuses an oversized file before reading it', () => {
    expect(codeOf(new Uint8Array(MAX_ELF_BYTES + 1))).toBe('elf/too-large');
  });

  it('refuses another machine and another kind of file', () => {
    const arm = smallElf();
    arm[18] = 183;
    const shared = smallElf();
    shared[16] = 3;
    expect([codeOf(arm), codeOf(shared)]).toEqual(['elf/unsupported', 'elf/unsupported']);
  });

  it('refuses an entry outside of executable segments', () => {
    const image = smallElf();
    image[24] = 0x40;
    expect(codeOf(image)).toBe('elf/malformed');
  });

  it('answers every damaged file with a code and never with another exception', () => {
    const random = new SeededRandom(20090128);
    const seen = new Set<string>();
    for (let round = 0; round < 20_000; round++) {
      const image = smallElf();
      for (let flips = 1 + random.below(4); flips > 0; flips--) image[random.below(0x1a8)] = random.below(256);
      seen.add(codeOf(image));
    }
    expect([...seen].every((code) => code === 'accepted' || code.startsWith('elf/'))).toBe(true);
    expect(seen.size).toBeGreaterThan(2);
  });
});
