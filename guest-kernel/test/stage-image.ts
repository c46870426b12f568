import { FOOTPRINTS, type GuestSpecInput, parseGuestSpec, WORKLOADS } from '@pvtrail/contracts';
import { type BootParameters, type ElfImage, parseElf } from '@pvtrail/guests';
import { type KernelImages, openKernelImages } from '@pvtrail/kernel-images';
import { type GuestVirt, guestVirt, parseVirt } from '@pvtrail/primitives';
import { applyEdits, type Paging, type PatchContext, patchSetsByHash, type Stage } from '@pvtrail/pvops';

/** The folder of the images, where nothing else is said. */
const NATIVE_64 = 'native-64';

/** Each folder's files are read once. */
const opened = new Map<string, KernelImages>();
const imagesIn = (folder: string): KernelImages => {
  const images = opened.get(folder) ?? openKernelImages(folder);
  opened.set(folder, images);
  return images;
};

export const catalogueAt = (stage: Stage, folder = NATIVE_64) => imagesIn(folder).catalogue(stage);

export const bootParametersOf = (wanted: GuestSpecInput): BootParameters => {
  const { workload, footprint, ramMiB, mixIterations, ...others } = parseGuestSpec(wanted);
  return {
    ...others,
    ramBytes: ramMiB << 20,
    workload: WORKLOADS.indexOf(workload),
    footprint: FOOTPRINTS.indexOf(footprint),
    mixIterations: WORKLOADS.flatMap((name) => (name === 'mix' ? [] : [mixIterations[name]])),
  };
};

/** The base image with the stage's patch sets folded in and the stage's own symbols. */
export const imageOf = (stage: Stage, folder = NATIVE_64): ElfImage => {
  const images = imagesIn(folder);
  const elf = parseElf(images.elf(stage));
  if (stage === 'nopv') return elf;
  const { sets } = images.patchSets(stage === 'callee-save-pte-as-posted' ? 'as-posted' : 'measured');
  const imageStage = stage === 'direct-call' ? 'v2.6.30' : stage;
  const last = sets.findLastIndex((set) => set.stage === imageStage);
  const edits = patchSetsByHash(sets);
  const segments = sets
    .slice(0, last + 1)
    .reduce((folded, { hash }) => applyEdits(folded, edits.get(hash) ?? []), elf.segments);
  const own = Object.entries(images.catalogue(stage).symbols).map(([name, at]) => [name, parseVirt(at)] as const);
  return { ...elf, segments, symbols: new Map([...elf.symbols, ...own]) };
};

const pointerAt = (bytes: Uint8Array): GuestVirt => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return guestVirt(bytes.length === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true)));
};

/** The kernels that every rule of a native kernel holds for. */
export const NATIVE_KERNELS = [
  { folder: NATIVE_64, bits: 64, paging: '4level' },
  { folder: 'native-32-pae', bits: 32, paging: 'pae' },
  { folder: 'native-32-2level', bits: 32, paging: '2level' },
] as const;
export type NativeKernel = (typeof NATIVE_KERNELS)[number];

/** How the guests of a folder are paged: its name says so where there is a choice. */
export const pagingOf = (folder: string): Paging =>
  folder.includes('-pae') ? 'pae' : folder.includes('-2level') ? '2level' : '4level';

/** A native guest as its patcher sees it, with the pointers that its op table holds in memory. */
export const nativeContext = (
  stage: Stage,
  read: (address: GuestVirt, length: number) => Uint8Array,
  folder = NATIVE_64,
): PatchContext => {
  const { bits, opTable, symbols } = catalogueAt(stage, folder);
  const { paravirt_nop: nop, ident_32: ident32, ident_64: ident64 } = symbols;
  return {
    guestType: 'native',
    bits,
    paging: pagingOf(folder),
    stage,
    cpu: { vendor: 'intel', features: ['nopl'] },
    opTable: new Map(opTable.map(({ type, address }) => [type, pointerAt(read(parseVirt(address), bits / 8))])),
    special: {
      nop: nop === undefined ? guestVirt(0n) : parseVirt(nop),
      ...(ident32 === undefined ? {} : { ident32: parseVirt(ident32) }),
      ...(ident64 === undefined ? {} : { ident64: parseVirt(ident64) }),
    },
    noreplaceParavirt: false,
  };
};
