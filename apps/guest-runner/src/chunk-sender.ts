import { type ChunkProduced, TOPICS, toChunkMessage } from '@pvtrail/contracts';
import type { EventLog } from '@pvtrail/event-log';
import { chunkProduced, currentTraceparent } from '@pvtrail/telemetry';
import type { TraceArchive } from './trace-archive.js';

/** Sends a guest's chunks on, in order, while the guest goes on: those that come while some are on their way go together after them. */
export class ChunkSender {
  readonly #trace: Pick<EventLog, 'publish'>;
  readonly #archive: TraceArchive | undefined;
  readonly #onSent: () => void;
  readonly #waiting: { readonly chunk: ChunkProduced; readonly value: Uint8Array }[] = [];
  readonly #failure = Promise.withResolvers<never>();
  #sending = Promise.resolve();
  #idle = true;

  /** @param onSent called once a chunk */
  constructor(trace: Pick<EventLog, 'publish'>, archive: TraceArchive | undefined, onSent: () => void) {
    this.#trace = trace;
    this.#archive = archive;
    this.#onSent = onSent;
    this.#failure.promise.catch(() => {});
  }

  send(chunk: ChunkProduced, value: Uint8Array): void {
    const occurrence = { time: new Date().toISOString(), traceparent: currentTraceparent() };
    this.#waiting.push({ chunk: { ...chunk, ...occurrence }, value });
    if (!this.#idle) return;
    this.#sending = this.#sendAll();
    this.#sending.catch(this.#failure.reject);
  }

  /** What `work` gives, unless a chunk cannot be sent. */
  whileSending<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failure.promise]);
  }

  /** Resolves when every chunk has arrived. */
  async sent(): Promise<void> {
    await this.whileSending(this.#sending);
  }

  async #sendAll(): Promise<void> {
    this.#idle = false;
    while (this.#waiting.length > 0) {
      const together = this.#waiting.splice(0);
      for (const { chunk, value } of together) await this.#archive?.keep(chunk, value);
      await this.#trace.publish(
        TOPICS.trace,
        together.map(({ chunk, value }) => toChunkMessage(chunk, value)),
      );
      for (const { chunk } of together) {
        chunkProduced(chunk);
        this.#onSent();
      }
    }
    this.#idle = true;
  }
}
