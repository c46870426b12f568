import type { GuestId, GuestSpec, Stage } from '@pvtrail/contracts';
import { canonicalJson } from '@pvtrail/primitives';

/** Everything that a guest's work depends on, but for what is compared: an overhead holds between guests of equal work (definitions §4). */
type Work = Omit<GuestSpec, 'type' | 'stage' | 'costs' | 'maxInstructions'>;

interface Specified {
  readonly guestId: GuestId;
  readonly spec: GuestSpec;
}

/** Guests that did the same work in different stages, or as guests of different types. */
export interface WorkGroup<G extends Specified> {
  readonly work: Work;
  /** What tells it from other groups of the same workload and footprint: `iterations=5 seed=2`; '' when there are none. */
  readonly setting: string;
  /** One of each type and stage: equal guests of several runs have equal counts. */
  readonly guests: readonly G[];
}

export const groupsOfEqualWork = <G extends Specified>(guests: readonly G[]): WorkGroup<G>[] => {
  const groups = [...Map.groupBy(guests, ({ spec }) => canonicalJson(workOf(spec))).values()].map((alike) => ({
    alike,
    work: workOf((alike[0] as G).spec),
  }));
  const likeWorkloads = Map.groupBy(groups, ({ work }) => workloadOf(work));
  return groups.map(({ alike, work }) => ({
    work,
    setting: settingOf(
      work,
      (likeWorkloads.get(workloadOf(work)) ?? []).map((group) => group.work),
    ),
    guests: [...new Map(alike.toReversed().map((guest) => [kindOf(guest), guest])).values()].toReversed(),
  }));
};

/** Those guests of two stages that have a counterpart of their type in the other one. */
export const pairedGuests = <G extends Specified>(guests: readonly G[], stages: readonly [Stage, Stage]): G[] =>
  groupsOfEqualWork(guests).flatMap((group) => {
    const ofStages = group.guests.filter(({ spec }) => stages.includes(spec.stage));
    const types = Map.groupBy(ofStages, ({ spec }) => spec.type);
    return ofStages.filter(({ spec }) =>
      stages.every((stage) => types.get(spec.type)?.some((g) => g.spec.stage === stage)),
    );
  });

const workOf = ({ type: _type, stage: _stage, costs: _costs, maxInstructions: _budget, ...work }: GuestSpec): Work =>
  work;

const workloadOf = ({ bits, paging, workload, footprint }: Work): string =>
  [bits, paging, workload, footprint].join(' ');

const kindOf = ({ spec }: Specified): string => `${spec.type} ${spec.stage}`;

const settingOf = (work: Work, groups: readonly Work[]): string =>
  (Object.keys(work) as (keyof Work)[])
    .filter((key) => groups.some((other) => canonicalJson(other[key]) !== canonicalJson(work[key])))
    .map((key) => `${key}=${canonicalJson(work[key])}`)
    .join(' ');
