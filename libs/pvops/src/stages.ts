import { AppError } from '@pvtrail/primitives';
import type { GuestType } from './guest-types.js';
import type { Paging } from './registers.js';

/**
 * The optimisations in the order in which they are applied (domain.md §0.1, definitions.md §1).
 * stage: the stage that is complete once the last optimisation naming it is applied.
 * guestType: the only guest type that it changes; other guests may leave it out. null: every guest has it.
 */
export const OPTIMISATIONS = [
  {
    name: 'identity',
    stage: 'identity',
    guestType: null,
    content: 'P1: identity functions that the patcher recognises',
  },
  {
    name: 'clobber-aware',
    stage: 'clobber-aware',
    guestType: null,
    content: 'P2, P3: asm sites save only what they must',
  },
  { name: 'callee-save-irq', stage: 'callee-save-irq', guestType: null, content: 'P4, P5: four irq ops and thunks' },
  { name: 'callee-save-pte', stage: 'callee-save-pte', guestType: null, content: 'P6: page-table value ops' },
  { name: 'F1', stage: 'v2.6.30', guestType: null, content: 'pud_val, which P6 missed' },
  { name: 'F2', stage: 'v2.6.30', guestType: null, content: '32-bit thunks leave EDX alone' },
  { name: 'F3', stage: 'v2.6.30', guestType: null, content: '32-bit callee-save C sites list EDX as output' },
  { name: 'F4', stage: 'v2.6.30', guestType: null, content: 'calls with an absolute address: 7 bytes on 64 bit' },
  { name: 'xen-direct-irq', stage: 'v2.6.30', guestType: 'xen', content: '64-bit direct irq templates' },
  { name: 'lguest-vmcall', stage: 'v2.6.30', guestType: 'lguest', content: 'hypercalls by vmcall' },
  { name: 'direct-call', stage: 'direct-call', guestType: null, content: 'the patcher without the clobber test (B0)' },
] as const satisfies readonly { name: string; stage: string; guestType: GuestType | null; content: string }[];

export type Optimisation = (typeof OPTIMISATIONS)[number]['name'];

/** The stages that are measured, in order. `nopv` is an image of its own without call sites. */
export const STAGES = [
  'nopv',
  'v2.6.29',
  'identity',
  'clobber-aware',
  'callee-save-irq',
  'callee-save-pte',
  'v2.6.30',
  'direct-call',
] as const;
export type MeasuredStage = (typeof STAGES)[number];
/** `callee-save-pte-as-posted` is P6 without the fixes that 32-bit measurements fold in: for the tests of B3 only. */
export type Stage = MeasuredStage | 'callee-save-pte-as-posted';

/** What the kernel's code contains. Functions that differ between stages take this set, not a stage. */
export type OptimisationSet = ReadonlySet<Optimisation>;

const upTo = (last: Optimisation): OptimisationSet =>
  new Set(OPTIMISATIONS.slice(0, OPTIMISATIONS.findIndex(({ name }) => name === last) + 1).map(({ name }) => name));

const NONE: OptimisationSet = new Set();
const CONTENTS: Record<Stage, OptimisationSet> = {
  nopv: NONE,
  'v2.6.29': NONE,
  identity: upTo('identity'),
  'clobber-aware': upTo('clobber-aware'),
  'callee-save-irq': upTo('callee-save-irq'),
  'callee-save-pte': upTo('callee-save-pte'),
  'callee-save-pte-as-posted': upTo('callee-save-pte'),
  'v2.6.30': upTo('lguest-vmcall'),
  'direct-call': upTo('direct-call'),
};

/**
 * The optimisations in a stage's code. With PAE, `callee-save-pte` has F1–F3 folded in, because with B3 the compiler drops the
 * work on the lost half and P6 would look better than it is (definitions.md §1).
 */
export const optimisationsAt = (stage: Stage, paging: Paging): OptimisationSet =>
  stage === 'callee-save-pte' && paging === 'pae' ? upTo('F3') : CONTENTS[stage];

/** The optimisation called `name`. @throws AppError `patch/unknown-set` */
export const optimisationRow = (name: string): (typeof OPTIMISATIONS)[number] => {
  const row = OPTIMISATIONS.find((candidate) => candidate.name === name);
  if (row === undefined) {
    const names = OPTIMISATIONS.map((candidate) => candidate.name).join(', ');
    throw new AppError('patch/unknown-set', `no optimisation is called '${name}'; there are ${names}`);
  }
  return row;
};

/** All that a guest of this type needs to be at `stage`, in order. */
export const optimisationsLeadingTo = (stage: MeasuredStage, guestType: GuestType): readonly Optimisation[] =>
  OPTIMISATIONS.filter((row) => STAGES.indexOf(row.stage) <= STAGES.indexOf(stage) && isNeeded(row, guestType)).map(
    ({ name }) => name,
  );

/** Those that a guest of this type may get next after `applied`; the last of them is the first that it cannot leave out. */
export const nextOptimisations = (applied: readonly Optimisation[], guestType: GuestType): readonly Optimisation[] => {
  const last = applied.at(-1);
  const rest = OPTIMISATIONS.slice(last === undefined ? 0 : OPTIMISATIONS.findIndex(({ name }) => name === last) + 1);
  const firstNeeded = rest.findIndex((row) => isNeeded(row, guestType));
  return rest.slice(0, firstNeeded < 0 ? rest.length : firstNeeded + 1).map(({ name }) => name);
};

/** The stage that these optimisations, applied in order over `v2.6.29`, complete; null between two stages. */
export const stageReached = (applied: readonly Optimisation[], guestType: GuestType): MeasuredStage | null => {
  const last = applied.at(-1);
  if (last === undefined) return 'v2.6.29';
  const { stage } = optimisationRow(last);
  const missing = OPTIMISATIONS.some(
    (row) => row.stage === stage && isNeeded(row, guestType) && !applied.includes(row.name),
  );
  return missing ? null : stage;
};

const isNeeded = (row: (typeof OPTIMISATIONS)[number], guestType: GuestType): boolean =>
  row.guestType === null || row.guestType === guestType;
