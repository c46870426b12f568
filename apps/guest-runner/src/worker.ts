import { parentPort, workerData } from 'node:worker_threads';
import {
  type ChunkProduced,
  FOOTPRINTS,
  type GuestId,
  type GuestSpec,
  type PayloadOf,
  type RunId,
  WORKLOADS,
} from '@pvtrail/contracts';
import { ENCODER_AREA, type Machine } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import {
  type BootedGuest,
  type BootParameters,
  type ElfImage,
  Guest,
  GuestFailedError,
  machineShapeOf,
  parseElf,
} from '@pvtrail/guests';
import { imageSetOf, openKernelImages } from '@pvtrail/kernel-images';
import { AppError, digestOf, formatVirt, fromHex, guestVirt, parseVirt, toHex } from '@pvtrail/primitives';
import { foldText, type KernelCatalogue, type PatchEvent, patchSetsByHash, type TextEdit } from '@pvtrail/pvops';
import { type EncodedChunk, sealChunk, TraceEncoder } from '@pvtrail/trace';
import { loadTraceKernel } from '@pvtrail/trace/node';
import { GENERAL_REGISTERS } from '@pvtrail/x86';
import type { Discovery, FromWorker, ToWorker, WorkerStart } from './worker-protocol.js';

const { imagesRoot, credits } = workerData as WorkerStart;
const available = new Int32Array(credits);
const traceKernel = loadTraceKernel();
const emulatorKernel = loadEmulatorKernel();
const port = parentPort;
if (port === null) throw new Error('this file is a worker thread');

const send = (message: FromWorker, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, [...transfer]);

/** Waits until the service has room for one more chunk. The thread has nothing else to do meanwhile. */
const takeCredit = (): void => {
  while (Atomics.load(available, 0) <= 0) Atomics.wait(available, 0, 0);
  Atomics.sub(available, 0, 1);
};

/** The last guest's machine: this thread runs one guest after the other, and most have much text in common. */
let spare: Machine | undefined;

const spareMachine = (type: BootableType, { ramMiB, bits }: GuestSpec): Machine | undefined => {
  const wanted = machineShapeOf(type, bits, ramMiB << 20);
  return spare?.shape.ramBytes === wanted.ramBytes && spare.shape.bits === wanted.bits ? spare : undefined;
};

type BootableType = 'native' | 'xen';

/** @throws AppError `input/unsupported-combination` */
const bootableType = ({ type }: GuestSpec): BootableType => {
  if (type === 'native' || type === 'xen') return type;
  throw new AppError('input/unsupported-combination', `${type} guests cannot be booted yet; native and xen ones can`);
};

type Execute = Extract<ToWorker, { kind: 'execute' }>;

/** One guest in this thread, from `execute` over `patch` to its end. */
class GuestThread {
  readonly #guestId: GuestId;
  readonly #runId: RunId;
  readonly #spec: GuestSpec;
  readonly #guest: Guest;
  readonly #encoder: TraceEncoder;
  readonly #digests: string[] = [];
  #totals = { instructions: 0, bytes: 0, rawBytes: 0 };

  constructor({ guestId, runId, spec, optimisations }: Execute) {
    this.#guestId = guestId;
    this.#runId = runId;
    this.#spec = spec;
    const guestType = bootableType(spec);
    this.#guest = new Guest({
      image: imageAt(spec, optimisations),
      guestType,
      machine: spareMachine(guestType, spec) ?? emulatorKernel,
      parameters: bootParametersOf(spec),
      instructionBudget: spec.maxInstructions,
      sink: (columns, machine) => {
        for (const chunk of this.#encoder.append(columns, machine.blocks)) this.#emit(chunk);
      },
    });
    spare = this.#guest.machine;
    const { memory } = spare;
    this.#encoder = new TraceEncoder({
      kernel: traceKernel,
      memory,
      workBase: ENCODER_AREA.offset,
      guest: digestOf(guestId),
    });
  }

  boot(): void {
    const booted = this.#guest.boot();
    send({ kind: 'booted', instructions: booted.instructions, discovery: this.#discover(booted) });
  }

  /** Patches the call sites and runs the workload to the guest's exit. */
  run(sites: PayloadOf<'CallSitesPatched'>['sites']): void {
    this.#guest.applyEdits(sites.filter(({ outcome }) => outcome !== 'unchanged').map(editOf));
    for (let progress = this.#guest.proceed(); progress.kind !== 'exited'; progress = this.#guest.proceed()) {
      if (progress.kind === 'workload-started') send({ kind: 'workload-started', instructions: progress.instructions });
    }
    this.#emit(this.#encoder.finish());
    const digest = digestOf(...this.#digests);
    send({ kind: 'finished', summary: { digest, chunks: this.#digests.length, ...this.#totals } });
  }

  #discover({ records, vcpuPlacement }: BootedGuest): Discovery {
    const { stage } = this.#spec;
    const catalogue = openKernelImages(imageSetOf(this.#spec), imagesRoot).catalogue(stage);
    const siteAt = new Map(catalogue.sites.map((site) => [site.address, site]));
    const pointerBytes = this.#spec.bits / 8;
    return {
      sites: records.map(({ address, length, type, clobbers, bytesBefore }) => {
        const site = siteAt.get(formatVirt(address));
        if (site === undefined)
          throw new AppError('image/corrupt', `the call site at ${formatVirt(address)} is not in the catalogue`);
        const { op, function: name, recordType } = site;
        return {
          address: formatVirt(address),
          length,
          type,
          clobbers,
          bytes: toHex(bytesBefore),
          op,
          function: name,
          recordType,
        };
      }),
      opTable: catalogue.opTable.map(({ type, address }) => ({
        type,
        target: formatVirt(pointerAt(this.#guest.read(parseVirt(address), pointerBytes))),
      })),
      ...specialOf(catalogue.symbols),
      ...(vcpuPlacement === undefined ? {} : { xen: xenSideOf(catalogue, vcpuPlacement) }),
    };
  }

  #emit(encoded: EncodedChunk): void {
    const { header } = encoded;
    const value = sealChunk(encoded);
    this.#digests.push(header.digest);
    const rawBytes = encoded.body.length;
    this.#totals = {
      instructions: this.#totals.instructions + header.instructions,
      bytes: this.#totals.bytes + value.length,
      rawBytes: this.#totals.rawBytes + rawBytes,
    };
    const { sequence, instructions, digest, last } = header;
    const chunk: ChunkProduced = {
      runId: this.#runId,
      guestId: this.#guestId,
      sequence,
      instructions,
      rawBytes,
      bytes: value.length,
      digest,
      last,
    };
    takeCredit();
    send({ kind: 'chunk', chunk, value });
  }
}

/** The stage's image; its symbols are the stage's own, because patch sets move what the base image's symbols name. */
const imageAt = (spec: GuestSpec, optimisations: Execute['optimisations']): ElfImage => {
  const images = openKernelImages(imageSetOf(spec), imagesRoot);
  const elf = parseElf(images.elf(spec.stage));
  const own = Object.entries(images.catalogue(spec.stage).symbols).map(([name, at]) => [name, parseVirt(at)] as const);
  const events = optimisations.map((payload): PatchEvent => ({ type: 'OptimisationApplied', version: 1, payload }));
  const segments = foldText(elf.segments, events, patchSetsByHash(images.patchSets().sets));
  return { ...elf, segments, symbols: new Map([...elf.symbols, ...own]) };
};

const bootParametersOf = (spec: GuestSpec): BootParameters => ({
  ramBytes: spec.ramMiB << 20,
  workload: WORKLOADS.indexOf(spec.workload),
  footprint: FOOTPRINTS.indexOf(spec.footprint),
  iterations: spec.iterations,
  seed: spec.seed,
  userCodeBytes: spec.userCodeBytes,
  userDataBytes: spec.userDataBytes,
  timerPeriod: spec.timerPeriod,
  mixIterations: WORKLOADS.flatMap((name) => (name === 'mix' ? [] : [spec.mixIterations[name]])),
});

const editOf = ({ address, bytesBefore, bytesAfter }: PayloadOf<'CallSitesPatched'>['sites'][number]): TextEdit => ({
  address: parseVirt(address),
  before: fromHex(bytesBefore),
  after: fromHex(bytesAfter),
});

const pointerAt = (bytes: Uint8Array) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return guestVirt(bytes.length === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true)));
};

const specialOf = ({
  paravirt_nop: nop,
  ident_32: ident32,
  ident_64: ident64,
}: Readonly<Record<string, string>>): Pick<Discovery, 'special'> =>
  nop === undefined
    ? {}
    : {
        special: { nop, ...(ident32 === undefined ? {} : { ident32 }), ...(ident64 === undefined ? {} : { ident64 }) },
      };

/** Offset of vcpu_info in the per-CPU segment of a 64-bit kernel (docs/adr/007). */
const VCPU_INFO = guestVirt(128n);

const xenSideOf = ({ functions }: KernelCatalogue, vcpuPlacement: boolean): NonNullable<Discovery['xen']> => {
  const checkEvents = functions.find(({ name }) => name === 'xen_check_events')?.address;
  if (checkEvents === undefined) throw new AppError('image/corrupt', 'the Xen kernel has no xen_check_events');
  return { vcpuPlacement, vcpuInfo: formatVirt(VCPU_INFO), checkEvents };
};

let current: GuestThread | undefined;

const handle = (message: ToWorker): void => {
  if (message.kind === 'execute') {
    current = new GuestThread(message);
    current.boot();
  } else {
    current?.run(message.sites);
    current = undefined;
  }
};

/** A failed guest is a result; anything else that is expected is one too, so that nobody waits for a guest that will not come. */
const failureOf = (error: unknown): Extract<FromWorker, { kind: 'failed' }> => {
  if (error instanceof GuestFailedError) {
    const { code, message, rip, registers, lastBlocks } = error.failure;
    const named = GENERAL_REGISTERS[64].map((name, index): [string, string] => [
      name,
      formatVirt(registers[index] ?? 0n),
    ]);
    named.push(['rip', formatVirt(rip)]);
    const blocks = lastBlocks.map(({ virt, bytes, user }) => ({
      address: formatVirt(guestVirt(virt)),
      bytes: toHex(bytes),
      mode: user ? ('user' as const) : ('kernel' as const),
    }));
    return { kind: 'failed', failure: { code, message, registers: Object.fromEntries(named), lastBlocks: blocks } };
  }
  if (error instanceof AppError)
    return { kind: 'failed', failure: { code: error.code, message: error.message, registers: {}, lastBlocks: [] } };
  throw error;
};

port.on('message', (message: ToWorker) => {
  try {
    handle(message);
  } catch (error) {
    send(failureOf(error));
  }
});
