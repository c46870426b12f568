import { AppError, canonicalJson, type Digest, digestOf, fromHex, parseVirt } from '@pvtrail/primitives';
import type { PatchEvent, PatchedSiteRecord } from './events.js';
import type { PatchSet, PatchSetEdit } from './kernel-catalogue.js';
import { applyEdits, inverseOf, type TextEdit, type TextSegment } from './text-edits.js';

/** Edits by the hash that events name. */
export type PatchSets = ReadonlyMap<string, readonly TextEdit[]>;

/** SHA-256 of the canonical JSON of a set's edits (docs/adr/004). */
export const patchSetHash = (edits: readonly PatchSetEdit[]): Digest => digestOf(canonicalJson(edits));

/** @throws AppError `image/corrupt` when a set's edits do not have the hash that it states, `input/invalid-hex` */
export const patchSetsByHash = (sets: readonly PatchSet[]): PatchSets =>
  new Map(
    sets.map((set) => {
      const found = patchSetHash(set.edits);
      if (found === set.hash) return [set.hash, set.edits.map(toTextEdit)];
      throw new AppError(
        'image/corrupt',
        `the patch set '${set.optimisation}' states the hash ${set.hash} but has ${found}`,
      );
    }),
  );

const toTextEdit = ({ address, before, after }: PatchSetEdit): TextEdit => ({
  address: parseVirt(address),
  before: fromHex(before),
  after: fromHex(after),
});

/** What an event does to the text, and which call-site edits are in force after it. */
export interface TextChange {
  readonly edits: readonly TextEdit[];
  readonly callSiteEdits: readonly TextEdit[];
}

/**
 * The edits of one event, in the order in which they are to be applied. `callSiteEdits`: those of the guest's call sites that are
 * in force before the event; every event that changes text restores them first. Sites that stayed as they were are no edits.
 * @throws AppError `patch/unknown-set` when the event names a patch set that is not in `patchSets`
 */
export const textChangeOf = (
  event: PatchEvent,
  patchSets: PatchSets,
  callSiteEdits: readonly TextEdit[],
): TextChange => {
  switch (event.type) {
    case 'OptimisationApplied':
      return {
        edits: [...inverseOf(callSiteEdits), ...editsOfSet(patchSets, event.payload.patchSet)],
        callSiteEdits: [],
      };
    case 'CallSitesPatched': {
      const edits = event.payload.sites.filter((site) => site.outcome !== 'unchanged').map(editOfSite);
      return { edits: [...inverseOf(callSiteEdits), ...edits], callSiteEdits: edits };
    }
    case 'OptimisationReverted': {
      const undone = inverseOf(editsOfSet(patchSets, event.payload.patchSet));
      return { edits: [...inverseOf(callSiteEdits), ...undone], callSiteEdits: [] };
    }
    case 'PatchingCompleted':
      return { edits: [], callSiteEdits };
  }
};

const editOfSite = ({ address, bytesBefore, bytesAfter }: PatchedSiteRecord): TextEdit => ({
  address: parseVirt(address),
  before: fromHex(bytesBefore),
  after: fromHex(bytesAfter),
});

const editsOfSet = (patchSets: PatchSets, hash: string): readonly TextEdit[] => {
  const edits = patchSets.get(hash);
  if (edits === undefined) throw new AppError('patch/unknown-set', `no patch set has the hash ${hash}`);
  return edits;
};

/**
 * A guest's text after the first `upTo` of its patch events (architecture rule 1); other events do not touch text and are not
 * given here. The image itself stays as it is.
 * @throws AppError `patch/before-mismatch`, `patch/outside-image`, `patch/unknown-set`
 */
export const foldText = <Segment extends TextSegment>(
  image: readonly Segment[],
  events: readonly PatchEvent[],
  patchSets: PatchSets,
  upTo: number = events.length,
): readonly Segment[] => {
  let callSiteEdits: readonly TextEdit[] = [];
  const edits = events.slice(0, upTo).flatMap((event) => {
    const change = textChangeOf(event, patchSets, callSiteEdits);
    callSiteEdits = change.callSiteEdits;
    return change.edits;
  });
  return applyEdits(image, edits);
};
