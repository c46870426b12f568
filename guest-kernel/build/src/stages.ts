import { AppError } from '@pvtrail/primitives';
import {
  type Bits,
  type GuestType,
  OPTIMISATIONS,
  type Optimisation,
  type OptimisationSet,
  type Paging,
} from '@pvtrail/pvops';

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
  'PV_XEN_DIRECT_IRQ',
  'PV_LOCKS',
] as const;
type Switch = (typeof SWITCHES)[number];
type SwitchTable = Partial<Record<Optimisation, Switch>>;

/** The switches that optimisations turn on in every guest. An optimisation without a switch changes no byte: its set is present and empty. */
const COMMON_SWITCHES: SwitchTable = {
  identity: 'PV_IDENTITY',
  'clobber-aware': 'PV_CLOBBER_AWARE',
  'callee-save-irq': 'PV_CALLEE_SAVE_IRQ',
  'callee-save-pte': 'PV_CALLEE_SAVE_PTE',
  F1: 'PV_F1',
  F2: 'PV_F2',
  F3: 'PV_F3',
  F4: 'PV_F4',
};

export const BASELINE_STAGE = 'nopv';
export const BASE_STAGE = 'v2.6.29';

/** One image to link: the switches that are on, and the optimisations that its code contains. */
export interface Link {
  /** A stage, or the optimisation that it completes. */
  readonly name: string;
  readonly stage: string;
  /** The optimisation whose patch set leads here; null for images that are linked files. */
  readonly completes: Optimisation | null;
  readonly on: ReadonlySet<Switch>;
  readonly optimisations: OptimisationSet;
}

/** One kind of guest that the sources are built for: a folder of images with slots, patch sets and catalogues of its own. */
export interface GuestConfiguration {
  /** Below `guest-kernel/images`. */
  readonly folder: string;
  readonly guest: GuestType;
  readonly bits: Bits;
  readonly paging: Paging;
  /** `-D` arguments that all its links share. */
  readonly defines: readonly string[];
  readonly links: readonly Link[];
  /** The series as it was posted, from the base on, where measured stages fold later fixes in; null where they fold nothing. */
  readonly asPosted: readonly Link[] | null;
}

const baseLink = (on: readonly Switch[]): Link => ({
  name: BASE_STAGE,
  stage: BASE_STAGE,
  completes: null,
  on: new Set<Switch>(['CONFIG_PARAVIRT', ...on]),
  optimisations: new Set(),
});

const BASELINE_LINK: Link = {
  name: BASELINE_STAGE,
  stage: BASELINE_STAGE,
  completes: null,
  on: new Set(),
  optimisations: new Set(),
};

/** The base stage, and one link per optimisation that has a switch, each with all switches before its own. */
const seriesLinks = (switches: SwitchTable, base: Link): readonly Link[] => {
  const links = [base];
  for (const { name, stage } of OPTIMISATIONS) {
    const turnsOn = switches[name];
    const { on, optimisations } = links.at(-1) ?? base;
    if (turnsOn === undefined) continue;
    links.push({
      name,
      stage,
      completes: name,
      on: new Set([...on, turnsOn]),
      optimisations: new Set([...optimisations, name]),
    });
  }
  return links;
};

/** Only native guests have the baseline: it is everybody's zero (definitions §1). */
export const NATIVE_64: GuestConfiguration = {
  folder: 'native-64',
  guest: 'native',
  bits: 64,
  paging: '4level',
  defines: ['-DGUEST_NATIVE=1', '-DBITS64=1'],
  links: [BASELINE_LINK, ...seriesLinks(COMMON_SWITCHES, baseLink(['PV_LOCKS']))],
  asPosted: null,
};

/** Spin locks are no ops: what the series never removed is not there (definitions §1). */
const NATIVE_64_PVLOCKS_OFF: GuestConfiguration = {
  ...NATIVE_64,
  folder: 'native-64-pvlocks-off',
  links: [BASELINE_LINK, ...seriesLinks(COMMON_SWITCHES, baseLink([]))],
};

const XEN_64: GuestConfiguration = {
  folder: 'xen-64',
  guest: 'xen',
  bits: 64,
  paging: '4level',
  defines: ['-DGUEST_NATIVE=0', '-DGUEST_XEN=1', '-DBITS64=1'],
  links: seriesLinks({ ...COMMON_SWITCHES, 'xen-direct-irq': 'PV_XEN_DIRECT_IRQ' }, baseLink(['PV_LOCKS'])),
  asPosted: null,
};

const NATIVE_32_2LEVEL: GuestConfiguration = {
  ...NATIVE_64,
  folder: 'native-32-2level',
  bits: 32,
  paging: '2level',
  defines: ['-DGUEST_NATIVE=1', '-DBITS64=0', '-DPAE=0'],
};

const POSTED_PTE_STAGE = 'callee-save-pte-as-posted';
const LAST_FIX_OF_PTE = 'F3';

/** The measured links of a PAE guest: with F1 … F3 in the stage whose upper halves they repair (definitions §1). */
const foldFixes = (series: readonly Link[]): readonly Link[] => {
  const posted = series.findIndex(({ name }) => name === 'callee-save-pte');
  const fixed = series.findIndex(({ name }) => name === LAST_FIX_OF_PTE);
  return series.flatMap((link, index) => {
    if (index <= posted || index > fixed) return index === posted ? [] : [link];
    return index === fixed
      ? [{ ...link, name: 'callee-save-pte', stage: 'callee-save-pte', completes: 'callee-save-pte' }]
      : [];
  });
};

const asPosted = (series: readonly Link[]): readonly Link[] =>
  series.map((link) =>
    link.name === 'callee-save-pte' ? { ...link, name: POSTED_PTE_STAGE, stage: POSTED_PTE_STAGE } : link,
  );

const PAE_SERIES = seriesLinks(COMMON_SWITCHES, baseLink(['PV_LOCKS']));

export const NATIVE_32_PAE: GuestConfiguration = {
  ...NATIVE_64,
  folder: 'native-32-pae',
  bits: 32,
  paging: 'pae',
  defines: ['-DGUEST_NATIVE=1', '-DBITS64=0', '-DPAE=1'],
  links: [BASELINE_LINK, ...foldFixes(PAE_SERIES)],
  asPosted: asPosted(PAE_SERIES),
};

const NATIVE_32_PAE_PVLOCKS_OFF: GuestConfiguration = {
  ...NATIVE_32_PAE,
  folder: 'native-32-pae-pvlocks-off',
  links: [BASELINE_LINK, ...foldFixes(seriesLinks(COMMON_SWITCHES, baseLink([])))],
  asPosted: null,
};

/** Every configuration that `guest-kernel/images` holds. */
export const GUEST_CONFIGURATIONS: readonly GuestConfiguration[] = [
  NATIVE_64,
  NATIVE_64_PVLOCKS_OFF,
  XEN_64,
  NATIVE_32_PAE,
  NATIVE_32_PAE_PVLOCKS_OFF,
  NATIVE_32_2LEVEL,
];

/** All that is linked for a guest: the measured links, and what only the series as posted has. */
export const allLinks = ({ links, asPosted: posted }: GuestConfiguration): readonly Link[] => [
  ...links,
  ...(posted ?? []).filter(({ name }) => !links.some((link) => link.name === name)),
];

/** Stages that have an image of their own, in order: `direct-call` runs the image of `v2.6.30` (definitions §1). */
export const stagesOf = (guest: GuestConfiguration): readonly string[] => [
  ...new Set(allLinks(guest).map((link) => link.stage)),
];

/** The link that is the whole of a stage: its last one. @throws AppError `input/unknown-stage` */
export const linkOfStage = (guest: GuestConfiguration, stage: string): Link => {
  const ofStage = (candidate: Link): boolean => candidate.stage === stage;
  const link = guest.links.findLast(ofStage) ?? allLinks(guest).findLast(ofStage);
  if (!link)
    throw new AppError(
      'input/unknown-stage',
      `unknown stage '${stage}'; stages with an image of ${guest.folder}: ${stagesOf(guest).join(', ')}`,
    );
  return link;
};

/** The configuration whose images are in `folder`. @throws AppError `input/unsupported-combination` */
export const configurationOf = (folder: string): GuestConfiguration => {
  const found = GUEST_CONFIGURATIONS.find((guest) => guest.folder === folder);
  if (!found)
    throw new AppError(
      'input/unsupported-combination',
      `no guest '${folder}' is built; there are ${GUEST_CONFIGURATIONS.map((guest) => guest.folder).join(', ')}`,
    );
  return found;
};

/** `-D` arguments of a guest's link. */
export const defines = (guest: GuestConfiguration, link: Link): string[] => [
  ...guest.defines,
  ...SWITCHES.map((name) => `-D${name}=${link.on.has(name) ? 1 : 0}`),
];
