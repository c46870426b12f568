import { AppError, formatVirt, fromHex, toHex } from '@pvtrail/primitives';
import { OPTIMISATIONS, type PatchSet, type PatchSetEdit, type PatchSetFile, patchSetHash } from '@pvtrail/pvops';
import type { LoadSegment } from './elf-file.js';
import { THUNK_PREFIX } from './kernel-functions.js';
import type { LinkedImage } from './link.js';
import { loadableDigest, readLoadable } from './loadable.js';
import { OP_TABLE_SECTION, type SlotLayout } from './slots.js';
import { BASE_STAGE, type Link } from './stages.js';

/** A place that edits are made for: a unit or a joined table. */
interface EditPlace {
  readonly unit: string;
  readonly section: string;
  readonly address: bigint;
  readonly bytes: number;
  /** Edits are ordered by rank, then by address: op table, thunks, read-only and other data, functions (definitions §1). */
  readonly rank: number;
}

/**
 * The edits that lead from each link of `series` to the next, one set per optimisation; `images` are one guest's by name of the link.
 * @throws AppError `image/corrupt` when folding the sets over the base does not give each separately linked image
 */
export const makePatchSets = (
  layout: SlotLayout,
  images: ReadonlyMap<string, LinkedImage>,
  series: readonly Link[],
): PatchSetFile => {
  const places = editPlaces(layout);
  let before = segmentsOf(images, BASE_STAGE);
  const sets = OPTIMISATIONS.map(({ name, stage }): PatchSet => {
    const link = series.find(({ completes }) => completes === name);
    const after = link ? segmentsOf(images, link.name) : before;
    const edits = places.flatMap((place) => editOf(place, before, after));
    const folded = foldEdits(before, edits);
    if (loadableDigest(folded) !== loadableDigest(after)) {
      throw new AppError(
        'image/corrupt',
        `folding the patch set '${name}' does not give the image that was linked for it`,
      );
    }
    before = after;
    return { optimisation: name, stage: link?.stage ?? stage, hash: patchSetHash(edits), edits };
  });
  return { format: 1, base: BASE_STAGE, sets };
};

const segmentsOf = (images: ReadonlyMap<string, LinkedImage>, link: string): readonly LoadSegment[] => {
  const image = images.get(link);
  if (!image)
    throw new AppError('image/missing', `no image was linked for '${link}'; links: ${[...images.keys()].join(', ')}`);
  return image.elf.segments;
};

const RANK = { opTable: 0, thunk: 1, data: 2, function: 3 } as const;
const OUTPUT_SECTIONS = { text: '.text', rodata: '.rodata', data: '.data' } as const;

const editPlaces = (layout: SlotLayout): EditPlace[] => {
  const units = layout.units.flatMap((unit): EditPlace[] => {
    if (unit.region === 'bss' || unit.region === 'table') return [];
    const name = unit.section.replace(/^\.(text|rodata|data)\./, '');
    return [
      {
        unit: name,
        section: OUTPUT_SECTIONS[unit.region],
        address: unit.address,
        bytes: unit.slotBytes,
        rank: rankOf(unit.section, unit.region, name),
      },
    ];
  });
  const tables = layout.tables.map(({ section, address, areaBytes }) => ({
    unit: section,
    section,
    address,
    bytes: areaBytes,
    rank: RANK.data,
  }));
  return [...units, ...tables].sort((a, b) => a.rank - b.rank || (a.address < b.address ? -1 : 1));
};

const rankOf = (section: string, region: 'text' | 'rodata' | 'data', name: string): number => {
  if (section === OP_TABLE_SECTION) return RANK.opTable;
  if (region !== 'text') return RANK.data;
  return name.startsWith(THUNK_PREFIX) ? RANK.thunk : RANK.function;
};

/** One edit from the first to the last byte that differs, none when all are equal. */
const editOf = (place: EditPlace, before: readonly LoadSegment[], after: readonly LoadSegment[]): PatchSetEdit[] => {
  const old = readLoadable(before, place.address, place.bytes);
  const now = readLoadable(after, place.address, place.bytes);
  const first = old.findIndex((byte, index) => byte !== now[index]);
  if (first < 0) return [];
  const last = old.findLastIndex((byte, index) => byte !== now[index]);
  return [
    {
      address: formatVirt(place.address + BigInt(first)),
      section: place.section,
      unit: place.unit,
      before: toHex(old.subarray(first, last + 1)),
      after: toHex(now.subarray(first, last + 1)),
    },
  ];
};

/** Applies edits to copies of the segments. @throws AppError `patch/before-mismatch`, `patch/outside-image` */
const foldEdits = (segments: readonly LoadSegment[], edits: readonly PatchSetEdit[]): LoadSegment[] => {
  // Not slice(): that of a Buffer shares its memory.
  const folded = segments.map((segment) => ({ ...segment, bytes: Uint8Array.from(segment.bytes) }));
  for (const edit of edits) {
    const target = readLoadable(folded, BigInt(edit.address), edit.before.length / 2);
    if (toHex(target) !== edit.before) {
      throw new AppError(
        'patch/before-mismatch',
        `the edit of ${edit.unit} at ${edit.address} does not find its bytes`,
      );
    }
    target.set(fromHex(edit.after));
  }
  return folded;
};
