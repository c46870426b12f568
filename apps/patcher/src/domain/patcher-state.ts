import { canonicalJson, type Digest, digestOf } from '@pvtrail/primitives';
import type { CallSitesPatched, Optimisation, OptimisationApplied, PatchEvent, SiteOutcome } from '@pvtrail/pvops';

type Sites = CallSitesPatched['payload']['sites'];

type CallSitesState =
  | { readonly kind: 'unpatched' }
  | {
      readonly kind: 'patched';
      readonly stage: CallSitesPatched['payload']['stage'];
      /** Tells a repetition from a contradiction without keeping the sites. */
      readonly digest: Digest;
      readonly outcomes: Readonly<Record<SiteOutcome, number>>;
      readonly completed: boolean;
    };

/** What a guest's patch events amount to. */
export interface PatcherState {
  readonly nextSequence: number;
  readonly applied: readonly Pick<OptimisationApplied['payload'], 'optimisation' | 'stage' | 'patchSet'>[];
  readonly callSites: CallSitesState;
}

export const initialState: PatcherState = { nextSequence: 0, applied: [], callSites: { kind: 'unpatched' } };

/** The state after one more event of the guest. */
export const evolve = (state: PatcherState, event: PatchEvent): PatcherState => ({
  ...state,
  ...changeOf(state, event),
  nextSequence: event.payload.sequence + 1,
});

const changeOf = (state: PatcherState, event: PatchEvent): Partial<PatcherState> => {
  switch (event.type) {
    case 'OptimisationApplied': {
      const { optimisation, stage, patchSet } = event.payload;
      return { applied: [...state.applied, { optimisation, stage, patchSet }], callSites: { kind: 'unpatched' } };
    }
    case 'OptimisationReverted':
      return { applied: state.applied.slice(0, -1), callSites: { kind: 'unpatched' } };
    case 'CallSitesPatched': {
      const { stage, sites } = event.payload;
      const callSites = { stage, digest: digestOfSites(sites), outcomes: countOutcomes(sites), completed: false };
      return { callSites: { kind: 'patched', ...callSites } };
    }
    case 'PatchingCompleted':
      return state.callSites.kind === 'patched' ? { callSites: { ...state.callSites, completed: true } } : {};
  }
};

export const digestOfSites = (sites: Sites): Digest => digestOf(canonicalJson(sites));

const countOutcomes = (sites: Sites): Record<SiteOutcome, number> => {
  const counts = { inline: 0, nop: 0, 'direct-call': 0, 'direct-jump': 0, unchanged: 0, ud2: 0 };
  for (const { outcome } of sites) counts[outcome] += 1;
  return counts;
};

export const appliedNames = (state: PatcherState): readonly Optimisation[] =>
  state.applied.map(({ optimisation }) => optimisation);
