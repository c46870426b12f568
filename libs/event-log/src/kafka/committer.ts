import { setTimeout as delay } from 'node:timers/promises';
import type { Commit } from './group-member.js';
import type { Lane } from './lane.js';

const RETRY_MS = 200;

/**
 * Commits offsets behind the handler, which need not wait: the newest of each partition, all in one request, one request at a time.
 * A commit that fails is tried again with what is newest then; when the partition is lost it is not needed any more.
 */
export class Committer {
  readonly #send: (commits: readonly Commit[]) => Promise<void>;
  readonly #onFailure: (error: unknown) => void;
  readonly #pending = new Map<Lane, number>();
  #running: Promise<void> | undefined;
  #giveUp = false;

  constructor(send: (commits: readonly Commit[]) => Promise<void>, onFailure: (error: unknown) => void) {
    this.#send = send;
    this.#onFailure = onFailure;
  }

  add(lane: Lane, offset: number): void {
    this.#pending.set(lane, offset);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when everything is committed. */
  async flushed(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** The same, with one attempt: what cannot be committed now is delivered again. */
  async end(): Promise<void> {
    this.#giveUp = true;
    await this.flushed();
  }

  async #run(): Promise<void> {
    for (;;) {
      for (const lane of [...this.#pending.keys()].filter(({ lost }) => lost)) this.#pending.delete(lane);
      const sent = [...this.#pending];
      if (sent.length === 0) return;
      try {
        await this.#send(sent.map(([{ topic, partition }, offset]) => ({ topic, partition, offset })));
        for (const [lane, offset] of sent) if (this.#pending.get(lane) === offset) this.#pending.delete(lane);
      } catch (error) {
        this.#onFailure(error);
        if (this.#giveUp) return;
        await delay(RETRY_MS);
      }
    }
  }
}
