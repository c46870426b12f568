import { AppError } from '@pvtrail/primitives';
import { OPTIMISATIONS, type Optimisation, type OptimisationSet } from '@pvtrail/pvops';

/** Every switch that the kernel's sources know; a link defines each to 0 or 1. */
const SWITCHES = [
  'CONFIG_PARAVIRT',
  'PV_IDENTITY',
  'PV_CLOBBER_AWARE',
  'PV_CALLEE_SAVE_IRQ',
  'PV_CALLEE_SAVE_PTE',
  'PV_F1',
  'PV_F2',
  'PV_F3',
  'PV_F4',
  'PV_LOCKS',
] as const;
type Switch = (typeof SWITCHES)[number];

/** The switch that an optimisation turns on. One without a switch changes no byte of this guest: its set is present and empty. */
const SWITCH_OF: Partial<Record<Optimisation, Switch>> = {
  identity: 'PV_IDENTITY',
  'clobber-aware': 'PV_CLOBBER_AWARE',
  'callee-save-irq': 'PV_CALLEE_SAVE_IRQ',
  'callee-save-pte': 'PV_CALLEE_SAVE_PTE',
  F1: 'PV_F1',
  F2: 'PV_F2',
  F3: 'PV_F3',
  F4: 'PV_F4',
};

/** True when the optimisation changes the kernel's code, so that an image is linked for it. */
export const changesCode = (optimisation: Optimisation): boolean => SWITCH_OF[optimisation] !== undefined;

export const BASELINE_STAGE = 'nopv';
export const BASE_STAGE = 'v2.6.29';

/** One image to link: the switches that are on, and the optimisation that it adds to the link before it. */
export interface Link {
  readonly name: string;
  readonly stage: string;
  readonly on: ReadonlySet<Switch>;
  readonly optimisation?: string;
}

const BASE_SWITCHES: readonly Switch[] = ['CONFIG_PARAVIRT', 'PV_LOCKS'];

/** `nopv`, the base stage, and one link per optimisation that has a switch, each with all switches before its own. */
export const LINKS: readonly Link[] = (() => {
  const links: Link[] = [
    { name: BASELINE_STAGE, stage: BASELINE_STAGE, on: new Set() },
    { name: BASE_STAGE, stage: BASE_STAGE, on: new Set(BASE_SWITCHES) },
  ];
  const on = new Set(BASE_SWITCHES);
  for (const { name, stage } of OPTIMISATIONS) {
    const turnsOn = SWITCH_OF[name];
    if (turnsOn === undefined) continue;
    on.add(turnsOn);
    links.push({ name, stage, on: new Set(on), optimisation: name });
  }
  return links;
})();

/** The optimisations in a link's code. */
export const optimisationsOf = (link: Link): OptimisationSet =>
  new Set(OPTIMISATIONS.map(({ name }) => name).filter((name) => isOn(link, SWITCH_OF[name])));

const isOn = (link: Link, name: Switch | undefined): boolean => name !== undefined && link.on.has(name);

/** Stages that have an image of their own, in order: `direct-call` runs the image of `v2.6.30` (definitions §1). */
export const STAGES: readonly string[] = [...new Set(LINKS.map((link) => link.stage))];

/** The link that is the whole of a stage: its last one. @throws AppError `input/unknown-stage` */
export const linkOfStage = (stage: string): Link => {
  const link = LINKS.findLast((candidate) => candidate.stage === stage);
  if (!link)
    throw new AppError('input/unknown-stage', `unknown stage '${stage}'; stages with an image: ${STAGES.join(', ')}`);
  return link;
};

/** `-D` arguments of a link for a guest. */
export const defines = (link: Link): string[] => [
  '-DGUEST_NATIVE=1',
  '-DBITS64=1',
  ...SWITCHES.map((name) => `-D${name}=${link.on.has(name) ? 1 : 0}`),
];
