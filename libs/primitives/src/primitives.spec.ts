import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  digestOf,
  formatVirt,
  fromHex,
  guestPhys,
  guestVirt,
  parseVirt,
  SeededRandom,
  toHex,
} from './index.js';

describe('addresses', () => {
  it('wrap as the CPU does', () => {
    expect(formatVirt(guestVirt(-1n))).toBe('0xffffffffffffffff');
    expect(guestVirt((1n << 64n) + 5n)).toBe(5n);
    expect(guestPhys(2 ** 32 + 7)).toBe(7);
  });

  it('sort as text and come back from it', () => {
    const addresses = [0n, 0x9n, 0x10n, 0x7fffffffffffn, 0xffffffff81000040n].map(guestVirt);
    expect(addresses.map(formatVirt).sort().map(parseVirt)).toEqual(addresses);
  });
});

describe('digests', () => {
  it('are SHA-256 of the parts put together', () => {
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'; // FIPS 180-2, B.1
    expect(digestOf('abc')).toBe(abc);
    expect(digestOf('a', Uint8Array.of(0x62), 'c')).toBe(abc);
  });

  it('are equal for equal values in whatever order their members came', () => {
    expect(digestOf(canonicalJson({ b: 1n, a: [2] }))).toBe(digestOf('{"a":[2],"b":"1"}'));
    expect(canonicalJson({ x: { b: null, a: 1 }, list: [{ d: 1, c: 2 }] })).toBe(
      '{"list":[{"c":2,"d":1}],"x":{"a":1,"b":null}}',
    );
  });
});

describe('hexadecimal text', () => {
  it('is read with and without separators and written without', () => {
    expect(toHex(fromHex('ff 14 25'))).toBe('ff1425');
    expect(toHex(Uint8Array.of(0, 1, 2, 3).subarray(1, 3))).toBe('0102');
  });

  it.each(['f', '0x00', 'gg'])('%s is refused', (text) => {
    expect(() => fromHex(text)).toThrow(expect.objectContaining({ code: 'input/invalid-hex' }));
  });
});

describe('SeededRandom', () => {
  it('is xorshift32 with the shifts 13, 17, 5', () => {
    const random = new SeededRandom(1);
    expect([random.nextU32(), random.nextU32(), random.nextU32()]).toEqual([270369, 67634689, 2647435461]);
  });

  it('does not stay at 0 for the seed 0', () => {
    const random = new SeededRandom(0);
    expect(new Set([random.nextU32(), random.nextU32(), random.nextU32()]).size).toBe(3);
  });

  it('draws below a bound, each value about equally often', () => {
    const random = new SeededRandom(7);
    const drawn = [0, 0, 0, 0, 0];
    for (let i = 0; i < 5000; i++) {
      const value = random.below(5);
      drawn[value] = (drawn[value] ?? 0) + 1;
    }
    for (const times of drawn) expect(Math.abs(times - 1000)).toBeLessThan(200);
    expect(() => random.pick([])).toThrow(RangeError);
  });
});
