import { AppError, type Digest, formatVirt, toHex } from '@pvtrail/primitives';
import {
  type CallSite,
  type CallSitesMeanwhile,
  type GuestType,
  nextOptimisations,
  type OptimisationApplied,
  type OptimisationReverted,
  optimisationRow,
  optimisationsLeadingTo,
  type PatchContext,
  type PatchEvent,
  type PatchedSiteRecord,
  patchSites,
  pvopOfType,
  type SitePatch,
  type Stage,
  stageReached,
} from '@pvtrail/pvops';
import type { GuestId, PatcherCommand } from './patcher-command.js';
import { appliedNames, digestOfSites, evolve, initialState, type PatcherState } from './patcher-state.js';

type CommandOf<Kind extends PatcherCommand['kind']> = Extract<PatcherCommand, { kind: Kind }>;

/**
 * The events that a command brings about in a guest's state; none when it asks for what is so already.
 * @throws AppError `patch/rule-violation` out of order or against the rules of patching, `patch/unknown-set`
 */
export const decide = (command: PatcherCommand, state: PatcherState): readonly PatchEvent[] => {
  switch (command.kind) {
    case 'apply-optimisation':
      return applyOptimisation(command, state);
    case 'bring-to-stage':
      return bringToStage(command, state);
    case 'patch-call-sites':
      return patchCallSites(command, state);
    case 'revert-optimisation':
      return [revertOptimisation(command, state)];
  }
};

/** The state that events lead to. */
export const stateAfter = (events: readonly PatchEvent[], from: PatcherState = initialState): PatcherState =>
  events.reduce(evolve, from);

const applyOptimisation = (
  { guestId, guestType, optimisation: name, patchSet }: CommandOf<'apply-optimisation'>,
  state: PatcherState,
): readonly OptimisationApplied[] => {
  const { name: optimisation, stage } = optimisationRow(name);
  const before = state.applied.find((applied) => applied.optimisation === optimisation);
  if (before !== undefined) return repetition(optimisation, before.patchSet, patchSet);
  const possible = nextOptimisations(appliedNames(state), guestType);
  if (!possible.includes(optimisation)) {
    throw violation(`'${optimisation}' is out of order: next can be ${possible.join(' or ') || 'nothing'}`);
  }
  const payload = { ...head(guestId, state), optimisation, stage, patchSet, callSites: callSitesMeanwhile(state) };
  return [{ type: 'OptimisationApplied', version: 1, payload }];
};

const repetition = (optimisation: string, applied: Digest, wanted: Digest): readonly [] => {
  if (applied === wanted) return [];
  throw violation(`'${optimisation}' is applied with the patch set ${applied}, not ${wanted}`);
};

const bringToStage = (
  { guestId, guestType, stage, patchSets }: CommandOf<'bring-to-stage'>,
  state: PatcherState,
): readonly PatchEvent[] => {
  const needed = optimisationsLeadingTo(stage, guestType);
  const beyond = appliedNames(state).find((name) => optimisationRow(name).stage !== stage && !needed.includes(name));
  if (beyond !== undefined) throw violation(`the guest is beyond '${stage}': revert '${beyond}' first`);
  const events: PatchEvent[] = [];
  for (const optimisation of needed) {
    const patchSet = hashOf(optimisation, patchSets);
    const apply = { kind: 'apply-optimisation', guestId, guestType, optimisation, patchSet } as const;
    events.push(...applyOptimisation(apply, stateAfter(events, state)));
  }
  return events;
};

const hashOf = (optimisation: string, patchSets: CommandOf<'bring-to-stage'>['patchSets']): Digest => {
  const found = patchSets.find((set) => set.optimisation === optimisation);
  if (found === undefined) throw new AppError('patch/unknown-set', `the image has no patch set for '${optimisation}'`);
  return found.hash as Digest;
};

const patchCallSites = (
  { guestId, context, sites }: CommandOf<'patch-call-sites'>,
  state: PatcherState,
): readonly PatchEvent[] => {
  requireStage(context.stage, context.guestType, state);
  const patched: PatchEvent = {
    type: 'CallSitesPatched',
    version: 1,
    payload: { ...head(guestId, state), stage: context.stage, sites: recordsOf(context, sites) },
  };
  if (state.callSites.kind === 'unpatched') return [patched, completed(guestId, evolve(state, patched))];
  if (state.callSites.digest !== digestOfSites(patched.payload.sites)) {
    throw violation('the call sites are patched already, and not like this: the guest is not the one that was patched');
  }
  return state.callSites.completed ? [] : [completed(guestId, state)];
};

/** Only a whole stage has its sites patched: between two stages, code and patch records do not fit each other. */
const requireStage = (wanted: Stage, guestType: GuestType, state: PatcherState): void => {
  const reached = stageReached(appliedNames(state), guestType);
  const stage = wanted === 'callee-save-pte-as-posted' ? 'callee-save-pte' : wanted;
  if (reached === stage || (stage === 'nopv' && state.applied.length === 0)) return;
  throw violation(
    `the guest's text is ${reached === null ? 'between two stages' : `at '${reached}'`}, not at '${wanted}'`,
  );
};

const recordsOf = (context: PatchContext, sites: readonly CallSite[]): readonly PatchedSiteRecord[] => {
  const patches = patchSites(context, sites);
  return sites.flatMap((site, index) => {
    const patch = patches[index];
    return patch === undefined ? [] : [recordOf(context, site, patch)];
  });
};

const recordOf = (context: PatchContext, site: CallSite, { bytesAfter, ...patch }: SitePatch): PatchedSiteRecord => ({
  address: formatVirt(site.address),
  length: site.length,
  op: pvopOfType(site.type, context.paging).name,
  type: site.type,
  clobbers: site.clobbers,
  bytesBefore: toHex(site.bytesBefore),
  bytesAfter: toHex(bytesAfter),
  ...('target' in patch ? { ...patch, target: formatVirt(patch.target) } : patch),
});

const completed = (guestId: GuestId, state: PatcherState): PatchEvent => {
  if (state.callSites.kind === 'unpatched') throw violation('no call sites are patched');
  const { stage, outcomes } = state.callSites;
  return { type: 'PatchingCompleted', version: 1, payload: { ...head(guestId, state), stage, outcomes } };
};

const revertOptimisation = (
  { guestId, optimisation }: CommandOf<'revert-optimisation'>,
  state: PatcherState,
): OptimisationReverted => {
  const last = state.applied.at(-1);
  if (last === undefined || last.optimisation !== optimisation) {
    throw violation(
      `'${optimisation}' cannot be reverted: ${last ? `the last one applied is '${last.optimisation}'` : 'nothing is applied'}`,
    );
  }
  const payload = { ...head(guestId, state), ...last, callSites: callSitesMeanwhile(state) };
  return { type: 'OptimisationReverted', version: 1, payload };
};

const head = (guestId: GuestId, { nextSequence }: PatcherState) => ({ guestId, sequence: nextSequence });

const callSitesMeanwhile = (state: PatcherState): CallSitesMeanwhile =>
  state.callSites.kind === 'patched' ? 'restored' : 'were-unpatched';

const violation = (message: string): AppError => new AppError('patch/rule-violation', message);
