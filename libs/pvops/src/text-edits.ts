import { AppError, formatVirt, type GuestVirt, toHex } from '@pvtrail/primitives';

/** A change of guest bytes: `after` replaces `before`, which must be there. Both have the same length. */
export interface TextEdit {
  readonly address: GuestVirt;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/** A contiguous piece of an image at its virtual address. */
export interface TextSegment {
  readonly virt: bigint;
  readonly bytes: Uint8Array;
}

/** Where edits go: `view` gives the live bytes, or undefined where the range is not wholly inside the image. */
export interface EditableText {
  view(address: GuestVirt, lengthBytes: number): Uint8Array | undefined;
}

/**
 * The image with the edits applied in order; the given one stays as it is.
 * @throws AppError `patch/before-mismatch`, `patch/outside-image`, `patch/rule-violation` (lengths differ)
 */
export const applyEdits = <Segment extends TextSegment>(
  image: readonly Segment[],
  edits: readonly TextEdit[],
): readonly Segment[] => {
  const copy = image.map((segment) => ({ ...segment, bytes: segment.bytes.slice() }));
  for (const edit of edits) replace(segmentsAsText(copy), edit);
  return copy;
};

/** The image as it was before `edits` were applied. @throws AppError as `applyEdits` */
export const revertEdits = <Segment extends TextSegment>(
  image: readonly Segment[],
  edits: readonly TextEdit[],
): readonly Segment[] => applyEdits(image, inverseOf(edits));

/** The edits that undo `edits`: last first, `before` and `after` exchanged. */
export const inverseOf = (edits: readonly TextEdit[]): readonly TextEdit[] =>
  edits.map(({ address, before, after }) => ({ address, before: after, after: before })).reverse();

/**
 * Applies edits to a running guest's text, all or none.
 * @throws AppError as `applyEdits`; nothing has changed then
 */
export const editInPlace = (text: EditableText, edits: readonly TextEdit[]): void => {
  const done: TextEdit[] = [];
  try {
    for (const edit of edits) {
      replace(text, edit);
      done.push(edit);
    }
  } catch (error) {
    for (const edit of inverseOf(done)) replace(text, edit);
    throw error;
  }
};

/** Segments as a place for edits: an edit lies wholly inside one of them. */
export const segmentsAsText = (segments: readonly TextSegment[]): EditableText => ({
  view: (address, lengthBytes) => {
    const holder = segments.find(
      ({ virt, bytes }) => address >= virt && address + BigInt(lengthBytes) <= virt + BigInt(bytes.length),
    );
    const offset = Number(address - (holder?.virt ?? 0n));
    return holder?.bytes.subarray(offset, offset + lengthBytes);
  },
});

const replace = (text: EditableText, { address, before, after }: TextEdit): void => {
  const where = `the edit of ${before.length} bytes at ${formatVirt(address)}`;
  if (before.length !== after.length) {
    throw new AppError('patch/rule-violation', `${where} would write ${after.length}; an edit keeps the length`);
  }
  const found = text.view(address, before.length);
  if (found === undefined) throw new AppError('patch/outside-image', `${where} is not inside the guest's image`);
  if (!equal(found, before)) {
    const bytes = { expected: toHex(before), found: toHex(found) };
    throw new AppError('patch/before-mismatch', `${where} expects ${bytes.expected} but finds ${bytes.found}`, bytes);
  }
  found.set(after);
};

const equal = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, index) => byte === b[index]);
