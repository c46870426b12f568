import { type Digest, fromHex, guestVirt, toHex } from '@pvtrail/primitives';
import {
  applyEdits,
  type CallSite,
  type MeasuredStage,
  OPTIMISATIONS,
  type Optimisation,
  optimisationsAt,
  optimisationsLeadingTo,
  type PatchContext,
  type PatchSet,
  type PatchSets,
  patchSetHash,
  patchSetsByHash,
  stageReached,
  type TextSegment,
  typeOf,
} from '@pvtrail/pvops';
import type { GuestId, PatcherCommand } from '../src/domain/patcher-command.js';

export const GUEST_ID = '0123456789abcdef0123456789abcdef' as GuestId;
const TEXT = 0xffffffff81000000n;
const TEXT_BYTES = 64;
const SPECIAL = { nop: guestVirt(TEXT + 0x100n), ident64: guestVirt(TEXT + 0x110n) };
const NEEDED = optimisationsLeadingTo('direct-call', 'native');

/** `v2.6.29` text: int3 everywhere, with a counter byte that each optimisation but the last changes. */
export const baseImage: readonly TextSegment[] = [{ virt: TEXT, bytes: new Uint8Array(TEXT_BYTES).fill(0xcc) }];

/** Sets that rewrite an eight-byte function body between the two call sites; `direct-call` changes no text. */
export const patchSets: readonly PatchSet[] = NEEDED.map((optimisation, index) => {
  const body = (version: number) => toHex(new Uint8Array(8).fill(version === 0 ? 0xcc : version));
  const edits =
    optimisation === 'direct-call'
      ? []
      : [
          {
            address: '0xffffffff81000010',
            section: '.text',
            unit: 'sys_x',
            before: body(index),
            after: body(index + 1),
          },
        ];
  const stage = OPTIMISATIONS.find(({ name }) => name === optimisation)?.stage ?? '';
  return { optimisation, stage, hash: patchSetHash(edits), edits };
});
export const setsByHash: PatchSets = patchSetsByHash(patchSets);

const hashOf = (optimisation: string): Digest => {
  const found = patchSets.find((set) => set.optimisation === optimisation);
  if (found === undefined) throw new Error(`no set ${optimisation}`);
  return found.hash as Digest;
};

/** The image with so many of the optimisations folded in, made without events. */
export const imageWith = (applied: number): readonly TextSegment[] =>
  patchSets.slice(0, applied).reduce((image, { hash }) => applyEdits(image, setsByHash.get(hash) ?? []), baseImage);

export const stageWith = (applied: number): MeasuredStage | null => stageReached(NEEDED.slice(0, applied), 'native');

/** An irq site, and a page-table value site that each stage patches in its own way. */
export const sitesIn = (image: readonly TextSegment[], stage: MeasuredStage): readonly CallSite[] => {
  const code = optimisationsAt(stage, '4level');
  const length = code.has('F4') ? 7 : 6;
  const site = (offset: number, type: number, clobbers: number): CallSite => ({
    address: guestVirt(TEXT + BigInt(offset)),
    type,
    length,
    clobbers,
    bytesBefore: (image[0]?.bytes ?? new Uint8Array()).slice(offset, offset + length),
  });
  const valueMask = code.has('callee-save-pte') ? 1 : 0x1ff;
  return stage === 'nopv'
    ? []
    : [
        site(0, typeOf('irq.irq_disable', '4level'), 1),
        site(32, typeOf('mmu.pte_val', '4level'), valueMask),
        site(48, typeOf('mmu.set_pte', '4level'), 1),
      ];
};

export const contextAt = (stage: MeasuredStage): PatchContext => ({
  guestType: 'native',
  bits: 64,
  paging: '4level',
  stage,
  cpu: { vendor: 'intel', features: ['nopl'] },
  opTable: new Map([
    [typeOf('irq.irq_disable', '4level'), guestVirt(TEXT + 0x120n)],
    [typeOf('mmu.pte_val', '4level'), SPECIAL.ident64],
    [typeOf('mmu.set_pte', '4level'), guestVirt(TEXT + 0x130n)],
  ]),
  special: SPECIAL,
  noreplaceParavirt: false,
});

export const apply = (optimisation: string, patchSet?: Digest): PatcherCommand => ({
  kind: 'apply-optimisation',
  guestId: GUEST_ID,
  guestType: 'native',
  optimisation,
  patchSet: patchSet ?? hashOf(optimisation),
});
export const bringTo = (stage: MeasuredStage, sets: readonly PatchSet[] = patchSets): PatcherCommand => ({
  kind: 'bring-to-stage',
  guestId: GUEST_ID,
  guestType: 'native',
  stage,
  patchSets: sets,
});
export const patchAt = (stage: MeasuredStage, image: readonly TextSegment[]): PatcherCommand => ({
  kind: 'patch-call-sites',
  guestId: GUEST_ID,
  context: contextAt(stage),
  sites: sitesIn(image, stage),
});
export const revert = (optimisation: string): PatcherCommand => ({
  kind: 'revert-optimisation',
  guestId: GUEST_ID,
  optimisation,
});
export const optimisationAt = (index: number): Optimisation | undefined => NEEDED[index];
export const OTHER_HASH = toHex(fromHex('ab'.repeat(32))) as Digest;
