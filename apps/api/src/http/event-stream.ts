import { once } from 'node:events';
import type { AnyEvent, RunId } from '@pvtrail/contracts';
import type { Answers } from '@pvtrail/reporting';
import type { Response } from 'express';
import type { RunCoordinator } from '../run-coordinator.js';

const HEARTBEAT_MS = 15_000;
/** Clocks of services differ, and topics are read one after the other: a stream that is resumed begins this much earlier. */
const OVERLAP_MS = 60_000;

/** The id of a server-sent event: when and what, so that a stream can be resumed by time. */
const streamId = ({ time, id }: AnyEvent): string => `${time}_${id}`;

const startOf = (lastEventId: string | undefined): number => {
  const time = Date.parse(lastEventId?.split('_')[0] ?? '');
  return Number.isNaN(time) ? Number.NEGATIVE_INFINITY : time - OVERLAP_MS;
};

/**
 * Sends a run's events as server-sent events: those so far, then each as it is recorded, until the run is over or the client goes.
 * @param lastEventId of a stream that broke: it goes on a little before there
 */
export const streamEvents = async (
  response: Response,
  runId: RunId,
  lastEventId: string | undefined,
  { coordinator, answers }: { readonly coordinator: RunCoordinator; readonly answers: Answers },
): Promise<void> => {
  const arrived: AnyEvent[] = [];
  let wake = (): void => {};
  const forget = coordinator.onEvent(runId, (event) => {
    arrived.push(event);
    wake();
  });
  const heartbeat = setInterval(() => response.write(':\n\n'), HEARTBEAT_MS);
  response.on('close', () => wake());
  const stream = new EventStream(response);
  try {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    const start = startOf(lastEventId);
    for (const event of await answers.events(runId)) {
      if (Date.parse(event.time) >= start) await stream.send(event);
    }
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      for (const event of arrived.splice(0)) await stream.send(event);
      if (response.destroyed || coordinator.status(runId).state !== 'running') break;
      await woken;
    }
  } finally {
    forget();
    clearInterval(heartbeat);
    response.end();
  }
};

class EventStream {
  readonly #response: Response;
  readonly #sent = new Set<string>();

  constructor(response: Response) {
    this.#response = response;
  }

  /** Each event once; waits while the client is slow. */
  async send(event: AnyEvent): Promise<void> {
    const id = streamId(event);
    if (this.#sent.has(id) || this.#response.destroyed) return;
    this.#sent.add(id);
    const text = `id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
    if (this.#response.write(text)) return;
    await Promise.race([once(this.#response, 'drain'), once(this.#response, 'close')]);
  }
}
