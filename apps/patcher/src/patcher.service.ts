import {
  type AnyEvent,
  type EventOf,
  fromMessage,
  type GuestSpec,
  makeEvent,
  TOPICS,
  toMessage,
} from '@pvtrail/contracts';
import type { Batch, Consumer, EventLog } from '@pvtrail/event-log';
import { imageSetOf, openKernelImages } from '@pvtrail/kernel-images';
import { AppError, fromHex, parseVirt } from '@pvtrail/primitives';
import type { CallSite, PatchEvent } from '@pvtrail/pvops';
import { processing, withSpan } from '@pvtrail/telemetry';
import { decide, stateAfter } from './domain/decide.js';
import type { PatcherCommand } from './domain/patcher-command.js';
import { patchContextOf } from './patch-context-of.js';

/** Decides what is patched in each guest, and records it. All state is folded from the log. */
export class PatcherService {
  readonly #log: EventLog;
  readonly #imagesRoot: string | undefined;
  readonly #consumer: Consumer;

  constructor({ log, imagesRoot }: { log: EventLog; imagesRoot?: string | undefined }) {
    this.#log = log;
    this.#imagesRoot = imagesRoot;
    this.#consumer = log.consume(
      {
        group: 'patcher',
        topics: [TOPICS.guests],
        maxRecords: 64,
        maxBytes: 8 << 20,
        retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 },
      },
      (batch) => this.#handle(batch),
    );
  }

  /** Rejects when the service cannot go on. */
  get finished(): Promise<void> {
    return this.#consumer.finished;
  }

  /** Ends, also after a failure, which `finished` tells. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled([this.#consumer.stop()]);
  }

  async #handle({ records }: Batch): Promise<undefined> {
    for (const record of records) {
      const event = fromMessage(record);
      if (event.type === 'GuestRequested') await processing(record, () => this.#bringToStage(event));
      if (event.type === 'CallSitesDiscovered') await processing(record, () => this.#patchCallSites(event));
    }
    return undefined;
  }

  async #bringToStage({ runId, payload: { guestId, spec } }: EventOf<'GuestRequested'>): Promise<void> {
    if (spec.stage === 'nopv') return;
    const patchSets = openKernelImages(imageSetOf(spec), this.#imagesRoot).patchSets().sets;
    await this.#record(runId, { kind: 'bring-to-stage', guestId, guestType: spec.type, stage: spec.stage, patchSets });
  }

  async #patchCallSites({ runId, payload }: EventOf<'CallSitesDiscovered'>): Promise<void> {
    const spec = await this.#specOf(payload.guestId);
    await this.#record(runId, {
      kind: 'patch-call-sites',
      guestId: payload.guestId,
      context: patchContextOf(spec, payload),
      sites: payload.sites.map(toCallSite),
    });
  }

  #record(runId: AnyEvent['runId'], command: PatcherCommand): Promise<void> {
    return withSpan('decide', { runId, guestId: command.guestId }, () => this.#decide(runId, command));
  }

  async #decide(runId: AnyEvent['runId'], command: PatcherCommand): Promise<void> {
    const earlier: PatchEvent[] = [];
    for await (const record of this.#log.read(TOPICS.patches, { key: command.guestId })) {
      earlier.push(fromMessage(record) as unknown as PatchEvent);
    }
    const decided = decide(command, stateAfter(earlier));
    if (decided.length === 0) return;
    const messages = decided.map(({ type, payload }) =>
      toMessage(makeEvent(type, payload as never, { runId, time: new Date() }) as AnyEvent),
    );
    await this.#log.append(TOPICS.patches, command.guestId, messages, earlier.length);
  }

  async #specOf(guestId: string): Promise<GuestSpec> {
    for await (const record of this.#log.read(TOPICS.guests, { key: guestId })) {
      const event = fromMessage(record);
      if (event.type === 'GuestRequested') return event.payload.spec;
    }
    throw new AppError('event/malformed', `call sites of guest ${guestId}, which nobody requested`);
  }
}

const toCallSite = ({
  address,
  type,
  length,
  clobbers,
  bytes,
}: EventOf<'CallSitesDiscovered'>['payload']['sites'][number]): CallSite => ({
  address: parseVirt(address),
  type,
  length,
  clobbers,
  bytesBefore: fromHex(bytes),
});
