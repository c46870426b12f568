import { createHash } from 'node:crypto';
import { type GuestSpecInput, parseGuestSpec } from '@pvtrail/contracts';
import type { Machine } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { type BootedGuest, Guest } from '@pvtrail/guests';
import { imageSetOf } from '@pvtrail/kernel-images';
import { type MeasuredStage, type Paging, patchSites, type TextEdit } from '@pvtrail/pvops';
import type { RawColumns } from '@pvtrail/trace';
import { ExecutionCounter, type Executions } from './execution-counter.js';
import { bootParametersOf, imageOf, nativeContext, pagingOf } from './stage-image.js';
import { xenContext } from './xen-context.js';

const emulator = loadEmulatorKernel();
/** Tests of one file run one guest after the other: each helps the next of its kernel with what it translated. */
const spares = new Map<string, Machine>();

/** A native guest or a Xen guest of 64 bit, as a fleet describes it. */
export interface Wanted extends GuestSpecInput {
  /** False leaves the stage's call sites as its image has them. */
  readonly patched?: boolean;
  /** Receives the raw columns too. */
  readonly trace?: (columns: RawColumns, machine: Machine) => void;
}

/** A mix of one iteration of each workload. */
export const ONE_OF_EACH = { nullsyscall: 1, pagefault: 1, fork: 1, mmap: 1, ctxswitch: 1, timer: 1, spinlock: 1 };

export interface Observation extends Executions {
  readonly bootInstructions: number;
  /** Digest of what the first process has in its memory, and where, when the workload has finished. */
  readonly userMemory: string;
}

/** What the patcher makes of the guest's call sites. */
const siteEdits = (stage: MeasuredStage, folder: string, guest: Guest, { records }: BootedGuest): TextEdit[] => {
  const context = folder === 'xen-64' ? xenContext(stage, guest.read) : nativeContext(stage, guest.read, folder);
  const patches = patchSites(context, records);
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

/** Tables from the top: how many of the first one's entries are user mode's, how many the others have, how wide they are. */
interface Tables {
  readonly levels: number;
  readonly userEntries: number;
  readonly entries: number;
  readonly entryBytes: 4 | 8;
}

/** Under Xen the kernel's half is accessible to ring 3 too. Directory pointers of PAE have no user bit. */
const TABLES: Readonly<Record<Paging, Tables>> = {
  '4level': { levels: 4, userEntries: 256, entries: 512, entryBytes: 8 },
  pae: { levels: 3, userEntries: 3, entries: 512, entryBytes: 8 },
  '2level': { levels: 2, userEntries: 768, entries: 1024, entryBytes: 4 },
};

/** Calls `take` for each page that user mode can reach, through the tables that are loaded (Intel SDM vol. 3, 4.3 – 4.5): indices from the top, entry. */
export const forEachUserPage = (
  { ram, cpu }: Machine,
  paging: Paging,
  take: (path: string, entry: bigint) => void,
): void => {
  const { levels, userEntries, entries, entryBytes } = TABLES[paging];
  const memory = new DataView(ram.buffer, ram.byteOffset, ram.length);
  const entryAt = (at: number): bigint =>
    entryBytes === 8 ? memory.getBigUint64(at, true) : BigInt(memory.getUint32(at, true));
  const walk = (table: bigint, level: number, prefix: string): void => {
    for (let index = 0; index < (level === levels ? userEntries : entries); index++) {
      const entry = entryAt(Number(table) + entryBytes * index);
      const isPointer = paging === 'pae' && level === levels;
      if ((entry & PRESENT) === 0n || ((entry & USER) === 0n && !isPointer)) continue;
      if (level > 1 && (entry & LARGE) === 0n) walk(entry & FRAME, level - 1, `${prefix}.${index}`);
      else take(`${prefix}.${index}`, entry);
    }
  };
  walk(cpu.cr3 & (paging === 'pae' ? ~0x1fn : FRAME), levels, '');
};

/** Virtual page numbers and contents of the pages that user mode can reach. */
export const digestOfUserMemory = (machine: Machine, paging: Paging): string => {
  const hash = createHash('sha256');
  forEachUserPage(machine, paging, (path, entry) => {
    const frame = Number(entry & FRAME);
    hash.update(path).update(machine.ram.subarray(frame, frame + 4096));
  });
  return hash.digest('hex');
};

/** Boots, patches and runs a guest to its end. @throws GuestFailedError */
export const observe = ({ patched = true, trace, ...wanted }: Wanted): Observation => {
  const counter = new ExecutionCounter();
  const guestType = wanted.type === 'xen' ? 'xen' : 'native';
  const folder = imageSetOf(parseGuestSpec(wanted));
  const guest = new Guest({
    image: imageOf(wanted.stage, folder),
    guestType,
    machine: spares.get(folder) ?? emulator,
    parameters: bootParametersOf(wanted),
    instructionBudget: 1e9,
    sink: (columns, machine) => {
      counter.take(columns, machine.blocks);
      trace?.(columns, machine);
    },
  });
  spares.set(folder, guest.machine);
  const booted = guest.boot();
  if (patched) guest.applyEdits(siteEdits(wanted.stage, folder, guest, booted));
  let userMemory = '';
  for (let progress = guest.proceed(); progress.kind !== 'exited'; progress = guest.proceed()) {
    if (progress.kind === 'workload-finished') userMemory = digestOfUserMemory(guest.machine, pagingOf(folder));
  }
  return { ...counter.executions(), bootInstructions: booted.instructions, userMemory };
};
