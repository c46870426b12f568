import { guestVirt } from '@pvtrail/primitives';
import { applyEdits, foldText, type PatchEvent, patchSites, revertEdits, type TextSegment } from '@pvtrail/pvops';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  apply,
  baseImage,
  contextAt,
  imageWith,
  optimisationAt,
  patchAt,
  patchSets,
  revert,
  setsByHash,
  sitesIn,
  stageWith,
} from '../../test/small-guest.js';
import { decide, stateAfter } from './decide.js';
import type { PatcherCommand } from './patcher-command.js';

type Wish = 'apply' | 'patch' | 'revert';

/** The text of a guest with so many optimisations, patched or not, made without events. */
const modelText = (applied: number, patched: boolean): readonly TextSegment[] => {
  const image = imageWith(applied);
  const stage = stageWith(applied);
  if (!patched || stage === null) return image;
  const sites = sitesIn(image, stage);
  const edits = patchSites(contextAt(stage), sites).map(({ bytesAfter }, index) => ({
    address: sites[index]?.address ?? guestVirt(0n),
    before: sites[index]?.bytesBefore ?? new Uint8Array(),
    after: bytesAfter,
  }));
  return applyEdits(image, edits);
};

/** Carries out the wishes that are possible; texts[n] is the model's text after n events. */
const live = (wishes: readonly Wish[]) => {
  const events: PatchEvent[] = [];
  const texts = [modelText(0, false)];
  let applied = 0;
  let patched = false;
  for (const wish of wishes) {
    const command = commandFor(wish, applied);
    if (command === null) continue;
    const more = decide(command, stateAfter(events));
    if (wish === 'patch') patched = true;
    else [applied, patched] = [applied + (wish === 'apply' ? 1 : -1), false];
    events.push(...more);
    texts.push(...more.map(() => modelText(applied, patched)));
  }
  return { events, texts };
};

const commandFor = (wish: Wish, applied: number): PatcherCommand | null => {
  const stage = stageWith(applied);
  const next = optimisationAt(applied);
  const last = optimisationAt(applied - 1);
  if (wish === 'patch') return stage === null ? null : patchAt(stage, imageWith(applied));
  if (wish === 'apply') return next === undefined ? null : apply(next);
  return last === undefined ? null : revert(last);
};

const wishesArbitrary = fc.array(fc.constantFrom<Wish>('apply', 'apply', 'patch', 'revert'), { maxLength: 40 });

describe('a guest’s text', () => {
  it('at any past event is the fold of its events so far', () => {
    fc.assert(
      fc.property(wishesArbitrary, (wishes) => {
        const { events, texts } = live(wishes);
        for (const [upTo, text] of texts.entries()) {
          expect(foldText(baseImage, events, setsByHash, upTo)).toEqual(text);
        }
      }),
    );
  });

  it('after everything is reverted is the image', () => {
    fc.assert(
      fc.property(wishesArbitrary, (wishes) => {
        const { events } = live([...wishes, 'apply', ...Array<Wish>(patchSets.length).fill('revert')]);
        expect(events.at(-1)?.type).toBe('OptimisationReverted');
        expect(foldText(baseImage, events, setsByHash)).toEqual(baseImage);
      }),
    );
  });

  it('gives the state of the live patcher again when its events are replayed', () => {
    fc.assert(
      fc.property(wishesArbitrary, fc.nat(), (wishes, cut) => {
        const { events } = live(wishes);
        const at = events.length === 0 ? 0 : cut % events.length;
        expect(stateAfter(events.slice(at), stateAfter(events.slice(0, at)))).toEqual(stateAfter(events));
        expect(events.map(({ payload }) => payload.sequence)).toEqual(events.map((_, index) => index));
      }),
    );
  });

  it('goes back by one optimisation when its patch set is reverted', () => {
    for (const [index, { hash }] of patchSets.entries()) {
      expect(revertEdits(imageWith(index + 1), setsByHash.get(hash) ?? [])).toEqual(imageWith(index));
    }
  });
});
