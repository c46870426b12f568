import { createHash } from 'node:crypto';
import { FOOTPRINTS, type GuestSpecInput, parseGuestSpec, WORKLOADS } from '@pvtrail/contracts';
import type { Machine } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { type BootedGuest, type BootParameters, type ElfImage, Guest, parseElf } from '@pvtrail/guests';
import { openKernelImages } from '@pvtrail/kernel-images';
import { type GuestVirt, guestVirt, parseVirt } from '@pvtrail/primitives';
import { applyEdits, patchSetsByHash, patchSites, type Stage, type TextEdit } from '@pvtrail/pvops';
import { ExecutionCounter, type Executions } from './execution-counter.js';

const images = openKernelImages('native-64');
const emulator = loadEmulatorKernel();
/** Tests of one file run one guest after the other: each helps the next with what it translated. */
let spare: Machine | undefined;

/** A native 64-bit guest, as a fleet describes it. */
export interface Wanted extends GuestSpecInput {
  readonly stage: Stage;
  /** False leaves the stage's call sites as its image has them. */
  readonly patched?: boolean;
}

export interface Observation extends Executions {
  readonly bootInstructions: number;
  /** Digest of what the first process has in its memory, and where, when the workload has finished. */
  readonly userMemory: string;
}

const parametersOf = ({ patched: _, ...wanted }: Wanted): BootParameters => {
  const spec = parseGuestSpec(wanted);
  const { workload, footprint, ramMiB, mixIterations, ...others } = spec;
  return {
    ...others,
    ramBytes: ramMiB << 20,
    workload: WORKLOADS.indexOf(workload),
    footprint: FOOTPRINTS.indexOf(footprint),
    mixIterations: WORKLOADS.flatMap((name) => (name === 'mix' ? [] : [mixIterations[name]])),
  };
};

/** The base image with the stage's patch sets folded in. */
const imageOf = (stage: Stage): ElfImage => {
  const elf = parseElf(images.elf(stage));
  if (stage === 'nopv') return elf;
  const { sets } = images.patchSets();
  const imageStage = stage === 'direct-call' ? 'v2.6.30' : stage;
  const last = sets.findLastIndex((set) => set.stage === imageStage);
  const edits = patchSetsByHash(sets);
  const segments = sets
    .slice(0, last + 1)
    .reduce((folded, { hash }) => applyEdits(folded, edits.get(hash) ?? []), elf.segments);
  const own = Object.entries(images.catalogue(stage).symbols).map(([name, at]) => [name, parseVirt(at)] as const);
  return { ...elf, segments, symbols: new Map([...elf.symbols, ...own]) };
};

const pointerAt = (bytes: Uint8Array): GuestVirt =>
  guestVirt(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));

/** What the native patcher makes of the guest's call sites. */
const siteEdits = (stage: Stage, guest: Guest, { records }: BootedGuest): TextEdit[] => {
  const { opTable, symbols } = images.catalogue(stage);
  const special = (name: string) => (symbols[name] === undefined ? {} : { [name]: parseVirt(symbols[name]) });
  const {
    paravirt_nop: nop = guestVirt(0n),
    ident_32,
    ident_64,
  } = {
    ...special('paravirt_nop'),
    ...special('ident_32'),
    ...special('ident_64'),
  };
  const patches = patchSites(
    {
      guestType: 'native',
      bits: 64,
      paging: '4level',
      stage,
      cpu: { vendor: 'intel', features: ['nopl'] },
      opTable: new Map(opTable.map(({ type, address }) => [type, pointerAt(guest.read(parseVirt(address), 8))])),
      special: { nop, ...(ident_32 && { ident32: ident_32 }), ...(ident_64 && { ident64: ident_64 }) },
      noreplaceParavirt: false,
    },
    records,
  );
  return records.flatMap(({ address, bytesBefore }, index) => {
    const patch = patches[index];
    return patch === undefined || patch.outcome === 'unchanged'
      ? []
      : [{ address, before: bytesBefore, after: patch.bytesAfter }];
  });
};

const PRESENT = 1n;
const USER = 4n;
const LARGE = 0x80n;
const FRAME = 0x000ffffffffff000n;

/** Pages that user mode can reach, through the guest's own tables: virtual page number and contents (Intel SDM vol. 3, 4.5). */
const digestOfUserMemory = ({ ram, cpu }: Machine): string => {
  const hash = createHash('sha256');
  const memory = new DataView(ram.buffer, ram.byteOffset, ram.length);
  const walk = (table: bigint, level: number, prefix: string): void => {
    for (let index = 0; index < 512; index++) {
      const entry = memory.getBigUint64(Number(table) + 8 * index, true);
      if ((entry & PRESENT) === 0n || (entry & USER) === 0n) continue;
      const frame = entry & FRAME;
      if (level > 1 && (entry & LARGE) === 0n) walk(frame, level - 1, `${prefix}.${index}`);
      else hash.update(`${prefix}.${index}`).update(ram.subarray(Number(frame), Number(frame) + 4096));
    }
  };
  walk(cpu.cr3 & FRAME, 4, '');
  return hash.digest('hex');
};

/** Boots, patches and runs a native 64-bit guest to its end. @throws GuestFailedError */
export const observe = (wanted: Wanted): Observation => {
  const counter = new ExecutionCounter();
  const guest = new Guest({
    image: imageOf(wanted.stage),
    machine: spare ?? emulator,
    parameters: parametersOf(wanted),
    instructionBudget: 1e9,
    sink: (columns, { blocks }) => counter.take(columns, blocks),
  });
  spare = guest.machine;
  const booted = guest.boot();
  if (wanted.patched !== false) guest.applyEdits(siteEdits(wanted.stage, guest, booted));
  let userMemory = '';
  for (let progress = guest.proceed(); progress.kind !== 'exited'; progress = guest.proceed()) {
    if (progress.kind === 'workload-finished') userMemory = digestOfUserMemory(spare);
  }
  return { ...counter.executions(), bootInstructions: booted.instructions, userMemory };
};
