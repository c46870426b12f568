import { AppError, guestVirt } from '@pvtrail/primitives';
import { foldText, type PatchEvent } from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import {
  apply,
  baseImage,
  bringTo,
  contextAt,
  GUEST_ID,
  imageWith,
  OTHER_HASH,
  patchAt,
  patchSets,
  revert,
  setsByHash,
  sitesIn,
} from '../../test/small-guest.js';
import { decide, stateAfter } from './decide.js';
import type { PatcherCommand } from './patcher-command.js';

const given = (...commands: readonly PatcherCommand[]) => {
  const events: PatchEvent[] = [];
  for (const command of commands) events.push(...decide(command, stateAfter(events)));
  return {
    events,
    when: (command: PatcherCommand) => {
      const then = (expected: readonly object[]) =>
        expect(decide(command, stateAfter(events))).toEqual(expected.map((event) => expect.objectContaining(event)));
      const refused = (code: AppError['code'], message: RegExp) => {
        let error: unknown;
        try {
          decide(command, stateAfter(events));
        } catch (caught) {
          error = caught;
        }
        expect(error).toBeInstanceOf(AppError);
        expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
      };
      return { then, refused };
    },
  };
};
const names = (events: readonly PatchEvent[]) =>
  events.map((event) => ('optimisation' in event.payload ? event.payload.optimisation : event.type));

describe('applying optimisations', () => {
  it('records the patch set by its hash', () => {
    given()
      .when(apply('identity'))
      .then([
        {
          type: 'OptimisationApplied',
          version: 1,
          payload: {
            guestId: GUEST_ID,
            sequence: 0,
            optimisation: 'identity',
            stage: 'identity',
            patchSet: patchSets[0]?.hash,
            callSites: 'were-unpatched',
          },
        },
      ]);
  });

  it('is refused out of order', () => {
    given()
      .when(apply('clobber-aware'))
      .refused('patch/rule-violation', /next can be identity/);
    given(bringTo('callee-save-pte'))
      .when(apply('F2'))
      .refused('patch/rule-violation', /next can be F1/);
    given(bringTo('direct-call'))
      .when(apply('lguest-vmcall', OTHER_HASH))
      .refused('patch/rule-violation', /nothing/);
  });

  it('does nothing when it is applied already, and is refused with another patch set', () => {
    given(apply('identity')).when(apply('identity')).then([]);
    given(apply('identity'))
      .when(apply('identity', OTHER_HASH))
      .refused('patch/rule-violation', /applied with/);
  });

  it('is refused for a name that is none', () => {
    given()
      .when(apply('F9', OTHER_HASH))
      .refused('patch/unknown-set', /no optimisation is called 'F9'/);
  });

  it('goes to a stage in order, from wherever the guest is below it', () => {
    expect(names(given(bringTo('callee-save-irq')).events)).toEqual(['identity', 'clobber-aware', 'callee-save-irq']);
    const later = given(apply('identity'), bringTo('v2.6.30')).events;
    expect(later.map(({ payload }) => payload.sequence)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(names(later).slice(-2)).toEqual(['F3', 'F4']);
    given(bringTo('v2.6.30')).when(bringTo('v2.6.30')).then([]);
    given().when(bringTo('v2.6.29')).then([]);
  });

  it('to a stage is refused when the guest is beyond it or the image lacks a set', () => {
    given(bringTo('callee-save-irq'))
      .when(bringTo('identity'))
      .refused('patch/rule-violation', /revert/);
    given()
      .when(bringTo('identity', []))
      .refused('patch/unknown-set', /no patch set for 'identity'/);
  });
});

describe('patching call sites', () => {
  it('records every site with its bytes, outcome and reason, and completes', () => {
    given(bringTo('v2.6.30'))
      .when(patchAt('v2.6.30', imageWith(8)))
      .then([
        {
          type: 'CallSitesPatched',
          payload: {
            guestId: GUEST_ID,
            sequence: 8,
            stage: 'v2.6.30',
            sites: [
              {
                address: '0xffffffff81000000',
                length: 7,
                op: 'irq.irq_disable',
                type: 55,
                clobbers: 1,
                bytesBefore: 'cccccccccccccc',
                bytesAfter: 'fa660f1f440000',
                nopBytes: 6,
                outcome: 'inline',
              },
              {
                address: '0xffffffff81000020',
                length: 7,
                op: 'mmu.pte_val',
                type: 92,
                clobbers: 1,
                bytesBefore: 'cccccccccccccc',
                bytesAfter: '4889f80f1f4000',
                nopBytes: 4,
                outcome: 'inline',
              },
              {
                address: '0xffffffff81000030',
                length: 7,
                op: 'mmu.set_pte',
                type: 85,
                clobbers: 1,
                bytesBefore: 'cccccccccccccc',
                bytesAfter: 'cccccccccccccc',
                nopBytes: 0,
                outcome: 'unchanged',
                reason: 'clobber-test',
              },
            ],
          },
        },
        {
          type: 'PatchingCompleted',
          payload: {
            guestId: GUEST_ID,
            sequence: 9,
            stage: 'v2.6.30',
            outcomes: { inline: 2, nop: 0, 'direct-call': 0, 'direct-jump': 0, unchanged: 1, ud2: 0 },
          },
        },
      ]);
  });

  it('names the target of a direct call, which the stage direct-call allows', () => {
    const { events } = given(bringTo('direct-call'), patchAt('direct-call', imageWith(9)));
    const patched = events.find((event) => event.type === 'CallSitesPatched');
    expect(patched?.payload.sites[2]).toMatchObject({
      outcome: 'direct-call',
      target: '0xffffffff81000130',
      nopBytes: 2,
    });
  });

  it('does nothing when asked again, and adds only what is missing', () => {
    const { events, when } = given(bringTo('identity'), patchAt('identity', imageWith(1)));
    when(patchAt('identity', imageWith(1))).then([]);
    const interrupted = stateAfter(events.slice(0, -1));
    expect(decide(patchAt('identity', imageWith(1)), interrupted)).toEqual(events.slice(-1));
  });

  it('is refused when the sites are patched already and were others', () => {
    const other = { ...contextAt('identity'), noreplaceParavirt: true };
    const sites = sitesIn(imageWith(1), 'identity');
    given(bringTo('identity'), patchAt('identity', imageWith(1)))
      .when({ kind: 'patch-call-sites', guestId: GUEST_ID, context: other, sites })
      .refused('patch/rule-violation', /patched already/);
  });

  it('is refused at another stage and between two stages', () => {
    given(bringTo('identity'))
      .when(patchAt('v2.6.30', baseImage))
      .refused('patch/rule-violation', /at 'identity'/);
    given(bringTo('callee-save-pte'), apply('F1'))
      .when(patchAt('v2.6.30', baseImage))
      .refused('patch/rule-violation', /between two stages/);
  });

  it('of a nopv guest completes without sites', () => {
    given()
      .when(patchAt('nopv', baseImage))
      .then([
        { type: 'CallSitesPatched', payload: { guestId: GUEST_ID, sequence: 0, stage: 'nopv', sites: [] } },
        { type: 'PatchingCompleted' },
      ]);
  });
});

describe('reverting', () => {
  it('takes the last optimisation out and says that call sites were restored', () => {
    given(bringTo('clobber-aware'), patchAt('clobber-aware', imageWith(2)))
      .when(revert('clobber-aware'))
      .then([
        {
          type: 'OptimisationReverted',
          payload: expect.objectContaining({ sequence: 4, optimisation: 'clobber-aware', callSites: 'restored' }),
        },
      ]);
  });

  it('is refused for any but the last', () => {
    given()
      .when(revert('identity'))
      .refused('patch/rule-violation', /nothing is applied/);
    given(bringTo('clobber-aware'))
      .when(revert('identity'))
      .refused('patch/rule-violation', /'clobber-aware'/);
  });

  it('lets the guest be patched again at the stage before, as a new event', () => {
    const { events } = given(
      bringTo('clobber-aware'),
      patchAt('clobber-aware', imageWith(2)),
      revert('clobber-aware'),
      patchAt('identity', imageWith(1)),
    );
    expect(names(events).slice(-3)).toEqual(['clobber-aware', 'CallSitesPatched', 'PatchingCompleted']);
    expect(events.map(({ payload }) => payload.sequence)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});

describe('folding events over an image', () => {
  const { events } = given(bringTo('identity'), patchAt('identity', imageWith(1)));

  it('is refused when the image is not the one that was patched', () => {
    const other = [{ virt: baseImage[0]?.virt ?? 0n, bytes: new Uint8Array(64).fill(0x90) }];
    expect(() => foldText(other, events, setsByHash)).toThrowError(
      expect.objectContaining({ code: 'patch/before-mismatch' }),
    );
  });

  it('is refused when an edit lies outside of the image or its patch set is unknown', () => {
    const short = [{ virt: guestVirt(0xffffffff81000000n), bytes: new Uint8Array(24).fill(0xcc) }];
    expect(() => foldText(short, events, setsByHash)).toThrowError(
      expect.objectContaining({ code: 'patch/outside-image' }),
    );
    expect(() => foldText(baseImage, events, new Map())).toThrowError(
      expect.objectContaining({ code: 'patch/unknown-set' }),
    );
  });
});
