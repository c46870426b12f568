import { AppError } from '@pvtrail/primitives';

/** Every switch that the kernel's sources know; a link defines each to 0 or 1. */
export const SWITCHES = [
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
export type Switch = (typeof SWITCHES)[number];

/**
 * One optimisation of the series (domain.md §0.1): the switch it turns on and the stage that it leads to (definitions §1). An
 * optimisation without a switch changes no byte of this guest: its set is present and empty.
 */
interface Optimisation {
  readonly name: string;
  readonly stage: string;
  readonly turnsOn?: Switch;
}

/** In the order in which they are applied. */
export const OPTIMISATIONS: readonly Optimisation[] = [
  { name: 'identity', stage: 'identity', turnsOn: 'PV_IDENTITY' },
  { name: 'clobber-aware', stage: 'clobber-aware', turnsOn: 'PV_CLOBBER_AWARE' },
  { name: 'callee-save-irq', stage: 'callee-save-irq', turnsOn: 'PV_CALLEE_SAVE_IRQ' },
  { name: 'callee-save-pte', stage: 'callee-save-pte', turnsOn: 'PV_CALLEE_SAVE_PTE' },
  { name: 'F1', stage: 'v2.6.30', turnsOn: 'PV_F1' },
  { name: 'F2', stage: 'v2.6.30', turnsOn: 'PV_F2' },
  { name: 'F3', stage: 'v2.6.30', turnsOn: 'PV_F3' },
  { name: 'F4', stage: 'v2.6.30', turnsOn: 'PV_F4' },
  { name: 'xen-64-direct-irq', stage: 'v2.6.30' },
  { name: 'lguest-vmcall', stage: 'v2.6.30' },
  { name: 'direct-call', stage: 'direct-call' },
];

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
  for (const { name, stage, turnsOn } of OPTIMISATIONS) {
    if (turnsOn === undefined) continue;
    on.add(turnsOn);
    links.push({ name, stage, on: new Set(on), optimisation: name });
  }
  return links;
})();

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
