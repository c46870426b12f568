import { FOOTPRINTS, parseGuestSpec, WORKLOADS, type Workload } from '@pvtrail/contracts';
import type { Machine, RawSink } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { type ElfImage, Guest, parseElf } from '@pvtrail/guests';
import { openKernelImages } from '@pvtrail/kernel-images';
import { formatVirt, guestVirt, parseVirt } from '@pvtrail/primitives';
import { foldText, optimisationsLeadingTo, type PatchEvent, patchSetsByHash, patchSites } from '@pvtrail/pvops';

/** The series complete, with its fixes: what most guests of a fleet run. */
const STAGE = 'v2.6.30';
const images = openKernelImages('native-64');
export const catalogue = images.catalogue(STAGE);

const stageImage = (): ElfImage => {
  const elf = parseElf(images.elf(STAGE));
  const own = Object.entries(catalogue.symbols).map(([name, at]) => [name, parseVirt(at)] as const);
  const { sets } = images.patchSets();
  const events = optimisationsLeadingTo(STAGE, 'native').map((optimisation, sequence): PatchEvent => {
    const patchSet = sets.find((set) => set.optimisation === optimisation)?.hash;
    if (patchSet === undefined) throw new Error(`no patch set for ${optimisation}`);
    const payload = { guestId: 'bench', sequence, optimisation, stage: STAGE, patchSet, callSites: 'were-unpatched' };
    return { type: 'OptimisationApplied', version: 1, payload } as PatchEvent;
  });
  const segments = foldText(elf.segments, events, patchSetsByHash(sets));
  return { ...elf, segments, symbols: new Map([...elf.symbols, ...own]) };
};

const pointerAt = (bytes: Uint8Array) =>
  guestVirt(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));

const patchCallSites = (guest: Guest, records: ReturnType<Guest['boot']>['records']): void => {
  const special = (name: string) => parseVirt(catalogue.symbols[name] ?? '0x0');
  const patches = patchSites(
    {
      guestType: 'native',
      bits: 64,
      paging: '4level',
      stage: STAGE,
      cpu: { vendor: 'intel', features: ['nopl'] },
      opTable: new Map(
        catalogue.opTable.map(({ type, address }) => [type, pointerAt(guest.read(parseVirt(address), 8))]),
      ),
      special: { nop: special('paravirt_nop'), ident32: special('ident_32'), ident64: special('ident_64') },
      noreplaceParavirt: false,
    },
    records,
  );
  guest.applyEdits(
    records.flatMap(({ address, bytesBefore }, index) => {
      const patch = patches[index];
      if (patch === undefined) throw new Error(`no outcome for the site at ${formatVirt(address)}`);
      return patch.outcome === 'unchanged' ? [] : [{ address, before: bytesBefore, after: patch.bytesAfter }];
    }),
  );
};

/** A booted and patched native 64-bit guest, stopped where its counted region begins: warmed up by one iteration. */
export const startedGuest = (workload: Workload, iterations: number, sink?: RawSink, machine?: Machine): Guest => {
  const spec = parseGuestSpec({ stage: STAGE, workload, iterations });
  const guest = new Guest({
    image: stageImage(),
    machine: machine ?? loadEmulatorKernel(),
    parameters: {
      ramBytes: spec.ramMiB << 20,
      workload: WORKLOADS.indexOf(workload),
      footprint: FOOTPRINTS.indexOf('hot'),
      iterations,
      seed: spec.seed,
      userCodeBytes: spec.userCodeBytes,
      userDataBytes: spec.userDataBytes,
      timerPeriod: spec.timerPeriod,
      mixIterations: WORKLOADS.flatMap((name) => (name === 'mix' ? [] : [spec.mixIterations[name]])),
    },
    instructionBudget: spec.maxInstructions,
    ...(sink === undefined ? {} : { sink }),
  });
  patchCallSites(guest, guest.boot().records);
  for (;;) {
    const { kind } = guest.proceed();
    if (kind === 'workload-started') return guest;
    if (kind === 'exited') throw new Error('the guest ended before its workload began');
  }
};

/** Runs to the end of the counted region. */
export const finishWorkload = (guest: Guest): void => {
  while (guest.proceed().kind !== 'workload-finished');
};
