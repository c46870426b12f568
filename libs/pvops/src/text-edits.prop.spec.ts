import { guestVirt } from '@pvtrail/primitives';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applyEdits,
  editInPlace,
  inverseOf,
  revertEdits,
  segmentsAsText,
  type TextEdit,
  type TextSegment,
} from './text-edits.js';

const BASES = [0xffffffff81000000n, 0xffffffff81200000n];

const segmentsArbitrary: fc.Arbitrary<readonly TextSegment[]> = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.uint8Array({ minLength: 1, maxLength: 64 }))
  .map((contents) => contents.map((bytes, index) => ({ virt: BASES[index] ?? 0n, bytes })));

/** An image and edits, overlapping or not, each of which finds its `before` when applied in order. */
const editedImage = segmentsArbitrary.chain((image) =>
  fc
    .array(fc.record({ segment: fc.nat(1), offset: fc.nat(63), after: fc.uint8Array({ maxLength: 12 }) }), {
      maxLength: 12,
    })
    .map((wishes) => {
      const text = image.map(({ bytes }) => bytes.slice());
      const edits = wishes.flatMap(({ segment, offset, after }): readonly TextEdit[] => {
        const bytes = text[segment] ?? new Uint8Array();
        if (offset + after.length > bytes.length) return [];
        const before = bytes.slice(offset, offset + after.length);
        bytes.set(after, offset);
        return [{ address: guestVirt((BASES[segment] ?? 0n) + BigInt(offset)), before, after }];
      });
      return { image, edits, result: image.map(({ virt }, index) => ({ virt, bytes: text[index] })) };
    }),
);

describe('text edits', () => {
  it('applied in order give the edited bytes and leave the image alone', () => {
    fc.assert(
      fc.property(editedImage, ({ image, edits, result }) => {
        const original = structuredClone(image);
        expect(applyEdits(image, edits)).toEqual(result);
        expect(image).toEqual(original);
      }),
    );
  });

  it('reverted give the image again', () => {
    fc.assert(
      fc.property(editedImage, ({ image, edits }) => {
        expect(revertEdits(applyEdits(image, edits), edits)).toEqual(image);
      }),
    );
  });

  it('are their own inverse’s inverse', () => {
    fc.assert(
      fc.property(editedImage, ({ edits }) => {
        expect(inverseOf(inverseOf(edits))).toEqual(edits);
      }),
    );
  });

  it('in place do the same as on a copy, or nothing at all', () => {
    fc.assert(
      fc.property(editedImage, fc.boolean(), ({ image, edits, result }, spoil) => {
        const live = structuredClone(image);
        const outside = { address: guestVirt(0n), before: Uint8Array.of(1), after: Uint8Array.of(2) };
        if (spoil) {
          const attempt = () => editInPlace(segmentsAsText(live), [...edits, outside]);
          expect(attempt).toThrowError(expect.objectContaining({ code: 'patch/outside-image' }));
          expect(live).toEqual(image);
        } else {
          editInPlace(segmentsAsText(live), edits);
          expect(live).toEqual(result);
        }
      }),
    );
  });

  it('whose `before` differs in any byte are refused', () => {
    fc.assert(
      fc.property(editedImage, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ image }, where, flip) => {
        const [first] = image;
        if (first === undefined) throw new Error('no segment');
        const before = first.bytes.slice();
        const offset = where % before.length;
        before[offset] = (before[offset] ?? 0) ^ flip;
        const edit = { address: guestVirt(first.virt), before, after: first.bytes };
        expect(() => applyEdits(image, [edit])).toThrowError(
          expect.objectContaining({ code: 'patch/before-mismatch' }),
        );
      }),
    );
  });
});

describe('an edit is refused', () => {
  const image = [
    { virt: 0x1000n, bytes: Uint8Array.of(1, 2, 3, 4) },
    { virt: 0x1004n, bytes: Uint8Array.of(5, 6) },
  ];
  const edit = (address: bigint, before: readonly number[], after: readonly number[] = before) => ({
    address: guestVirt(address),
    before: Uint8Array.from(before),
    after: Uint8Array.from(after),
  });

  it.each([
    ['before the image', edit(0xfffn, [0, 1])],
    ['beyond it', edit(0x1005n, [6, 7])],
    ['across two segments', edit(0x1003n, [4, 5])],
  ])('%s', (_where, outside) => {
    expect(() => applyEdits(image, [outside])).toThrowError(expect.objectContaining({ code: 'patch/outside-image' }));
  });

  it('when it changes the length', () => {
    expect(() => applyEdits(image, [edit(0x1000n, [1, 2], [1])])).toThrowError(
      expect.objectContaining({ code: 'patch/rule-violation' }),
    );
  });
});
