import { fromHex } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { BlockDescriptions } from '../src/block-descriptions.js';
import { functionsOnly } from './random-trace.js';

const VIRT = 0xffffffff81000000n;
const block = (hex: string, user = false, bits: 32 | 64 = 64) => {
  return { virt: VIRT, phys: 0x1000000, physNextPage: 0, user, bits, bytes: fromHex(hex) };
};

describe('BlockDescriptions', () => {
  it('describes a block once', () => {
    const descriptions = new BlockDescriptions(functionsOnly());
    expect(descriptions.describe(block('53 c3'))).toBe(descriptions.describe(block('53 c3')));
  });

  it.each([
    ['other bytes', block('55 c3')],
    ['another mode', block('53 c3', true)],
    ['another bitness', block('53 c3', false, 32)],
  ])('tells apart blocks at one address with %s', (_difference, other) => {
    const descriptions = new BlockDescriptions(functionsOnly());
    const first = descriptions.describe(block('53 c3'));
    expect(descriptions.describe(other)).not.toBe(first);
    expect(descriptions.describe(block('53 c3'))).toBe(first);
  });

  it('refuses bytes that are no whole block', () => {
    const descriptions = new BlockDescriptions(functionsOnly());
    expect(() => descriptions.describe(block('53 c3 90'))).toThrow(
      expect.objectContaining({ code: 'trace/corrupt-chunk' }),
    );
  });
});
