import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MachineFrames } from './frames.js';

const run = (count: number) =>
  fc
    .integer({ min: 1, max: count - 2 })
    .chain((first) => fc.record({ first: fc.constant(first), count: fc.integer({ min: 1, max: count - 1 - first }) }));
const COUNT = 200;

describe('MachineFrames', () => {
  it('are a permutation in which a run stays together and frame 0 stays', () => {
    fc.assert(
      fc.property(fc.integer(), run(COUNT), (seed, together) => {
        const { machineOf, guestOf } = new MachineFrames(COUNT, seed, together);
        expect(new Set(machineOf).size).toBe(COUNT);
        expect(machineOf.every((machine, guest) => guestOf[machine] === guest)).toBe(true);
        expect(machineOf[0]).toBe(0);
        const start = machineOf[together.first] ?? -1;
        for (let i = 0; i < together.count; i++) expect(machineOf[together.first + i]).toBe(start + i);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it('are elsewhere for nearly all frames, and elsewhere again with another seed', () => {
    const count = 16384;
    const of = (seed: number) => new MachineFrames(count, seed, { first: 4096, count: 100 }).machineOf;
    const same = (a: Uint32Array, b: ArrayLike<number>) => a.filter((machine, guest) => machine === b[guest]).length;
    expect(same(of(1), { ...Array.from({ length: count }, (_, i) => i) })).toBeLessThan(20);
    expect(same(of(1), of(2))).toBeLessThan(20);
    expect(of(1)).toEqual(of(1));
  });
});
