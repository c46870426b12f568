import { Worker } from 'node:worker_threads';
import type { GuestId, GuestSpec } from '@pvtrail/contracts';
import { AppError, type ErrorCode } from '@pvtrail/primitives';
import type { FromWorker, ToWorker, UnitResult, WorkerStart } from './worker-protocol.js';

const WORKER_FILE = new URL('../dist/worker.js', import.meta.url);

type Waiting = { readonly resolve: (unit: UnitResult | undefined) => void; readonly reject: (error: unknown) => void };

/** A thread that analyses the chunks of the guests assigned to it, in the order given. */
export class AnalysisWorker {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #death: unknown;

  constructor(imagesRoot: string | undefined) {
    const workerData: WorkerStart = { imagesRoot };
    this.#worker = new Worker(WORKER_FILE, { workerData });
    this.#worker.on('message', (message: FromWorker) => this.#answer(message));
    this.#worker.on('error', (error) => this.#die(error));
    this.#worker.on('exit', (code) =>
      this.#die(new AppError('run/failed', `an analysis worker ended with code ${code}`)),
    );
  }

  /** Chunks under way. */
  get load(): number {
    return this.#waiting.length;
  }

  open(guestId: GuestId, spec: GuestSpec, checkpoint: Uint8Array | undefined): void {
    this.#send({ kind: 'open', guestId, spec, checkpoint });
  }

  /** Resolves with the unit's statistics when the chunk ends one. @throws AppError of the chunk or the analysis */
  analyse(guestId: GuestId, value: Uint8Array, endsUnit: boolean): Promise<UnitResult | undefined> {
    if (this.#death !== undefined) return Promise.reject(this.#death);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#send({ kind: 'chunk', guestId, value, endsUnit });
    });
  }

  close(guestId: GuestId): void {
    this.#send({ kind: 'close', guestId });
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #answer(message: FromWorker): void {
    const waiting = this.#waiting.shift();
    if (message.kind === 'analysed') waiting?.resolve(message.unit);
    else waiting?.reject(new AppError(message.code as ErrorCode, message.message, { guestId: message.guestId }));
  }

  #die(error: unknown): void {
    this.#death ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#death);
  }
}
