import { type AnyEvent, fromMessage, type GuestId, type GuestSpec, type PayloadOf, TOPICS } from '@pvtrail/contracts';
import type { Consumer, EventLog } from '@pvtrail/event-log';
import { type Optimisation, stageReached } from '@pvtrail/pvops';

/** Patch events of the guests that this process executes, as they arrive. */
export class PatchInbox {
  readonly #log: EventLog;
  readonly #guests = new Map<GuestId, Mailbox>();
  readonly #consumer: Consumer;

  constructor(log: EventLog) {
    this.#log = log;
    this.#consumer = log.consume(
      {
        topics: [TOPICS.patches],
        maxRecords: 256,
        maxBytes: 8 << 20,
        retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 5000 },
      },
      async ({ records }) => {
        for (const record of records) this.#guests.get(record.key as GuestId)?.add(fromMessage(record));
        return undefined;
      },
    );
  }

  /** Rejects when patch events can no longer be read. */
  get finished(): Promise<void> {
    return this.#consumer.finished;
  }

  /** The optimisations that make the guest's stage, in order; waits for the patcher. */
  async optimisations(
    guestId: GuestId,
    { stage, type }: GuestSpec,
  ): Promise<readonly PayloadOf<'OptimisationApplied'>[]> {
    if (stage === 'nopv') return [];
    const mailbox = await this.#open(guestId);
    return mailbox.when((events) => {
      const applied = events.filter((event) => event.type === 'OptimisationApplied').map((event) => event.payload);
      const names = applied.map(({ optimisation }) => optimisation as Optimisation);
      return stageReached(names, type) === stage ? applied : undefined;
    });
  }

  /** The outcomes of the guest's call sites; waits until its patching is complete. */
  async callSites(guestId: GuestId): Promise<PayloadOf<'CallSitesPatched'>['sites']> {
    const mailbox = await this.#open(guestId);
    return mailbox.when((events) => {
      if (!events.some((event) => event.type === 'PatchingCompleted')) return undefined;
      return events.filter((event) => event.type === 'CallSitesPatched').at(-1)?.payload.sites ?? [];
    });
  }

  /** The guest has ended: its events are needed no more. */
  close(guestId: GuestId): void {
    this.#guests.delete(guestId);
  }

  async stop(): Promise<void> {
    await this.#consumer.stop();
  }

  /** Registers first and reads the past then, so that nothing falls in between; the mailbox drops repetitions. */
  async #open(guestId: GuestId): Promise<Mailbox> {
    const known = this.#guests.get(guestId);
    if (known) return known;
    const mailbox = new Mailbox();
    this.#guests.set(guestId, mailbox);
    await this.#consumer.started;
    for await (const record of this.#log.read(TOPICS.patches, { key: guestId })) mailbox.add(fromMessage(record));
    return mailbox;
  }
}

class Mailbox {
  readonly #events: AnyEvent[] = [];
  #wake: (() => void)[] = [];

  add(event: AnyEvent): void {
    if (this.#events.some(({ id }) => id === event.id)) return;
    this.#events.push(event);
    for (const wake of this.#wake.splice(0)) wake();
  }

  async when<T>(find: (events: readonly AnyEvent[]) => T | undefined): Promise<T> {
    for (;;) {
      const found = find(this.#events);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}
