import { openKernelImages } from '@pvtrail/kernel-images';
import { AppError, SeededRandom } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { parseElf } from '../src/index.js';

const kernel = openKernelImages('native-64').elf('v2.6.29');
const PROGRAM_HEADERS = 64;
const PROGRAM_HEADER_BYTES = 56;
const MAX_PHYSICAL = 1 << 30;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const headerCount = viewOf(kernel).getUint16(56, true);
const sectionHeaders = Number(viewOf(kernel).getBigUint64(40, true));

/** Reads an image that must be good or refused with a code; a good one stays within the file and guest memory. */
const outcome = (bytes: Uint8Array): string => {
  try {
    for (const { phys, memoryBytes, bytes: contents } of parseElf(bytes).segments) {
      expect(contents.buffer).toBe(bytes.buffer);
      expect(phys + memoryBytes).toBeLessThanOrEqual(MAX_PHYSICAL);
      expect(contents.length).toBeLessThanOrEqual(memoryBytes);
    }
    return 'accepted';
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(error.code).toMatch(/^elf\/(malformed|unsupported|too-large)$/);
    return error.code;
  }
};

const HOSTILE = [0n, 1n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn, 1n << 52n, 1n << 63n, (1n << 64n) - 1n];

describe('the reader of kernel images', () => {
  it('accepts the kernel', () => {
    expect(outcome(Uint8Array.from(kernel))).toBe('accepted');
  });

  it('refuses every cut through a segment or the headers', () => {
    const random = new SeededRandom(41);
    const cuts = Array.from({ length: 200 }, () => random.below(kernel.length));
    for (const length of [0, 1, 51, 63, 64, ...cuts]) {
      expect(outcome(Uint8Array.from(kernel.subarray(0, length)))).toBe('elf/malformed');
    }
  });

  it.each([
    ['offset', 8],
    ['physical address', 24],
    ['size in the file', 32],
    ['size in memory', 40],
  ])('never trusts the %s of a program header', (_, field) => {
    let refused = 0;
    for (let header = 0; header < headerCount; header++) {
      for (const value of HOSTILE) {
        const image = Uint8Array.from(kernel);
        viewOf(image).setBigUint64(PROGRAM_HEADERS + header * PROGRAM_HEADER_BYTES + field, value, true);
        if (outcome(image) !== 'accepted') refused++;
      }
    }
    expect(refused).toBeGreaterThanOrEqual(4);
  });

  it('answers damage in headers and tables with a code', () => {
    const random = new SeededRandom(43);
    const seen = new Set<string>();
    for (let round = 0; round < 1500; round++) {
      const image = Uint8Array.from(kernel);
      for (let bytes = 1 + random.below(3); bytes > 0; bytes--) {
        const inTables = random.below(2) === 0 && sectionHeaders < image.length;
        const at = inTables
          ? sectionHeaders + random.below(image.length - sectionHeaders)
          : random.below(PROGRAM_HEADERS + headerCount * PROGRAM_HEADER_BYTES);
        image[at] = random.below(256);
      }
      seen.add(outcome(image));
    }
    expect(seen).toContain('accepted');
    expect(seen).toContain('elf/malformed');
    expect(seen).toContain('elf/unsupported');
  });
});
