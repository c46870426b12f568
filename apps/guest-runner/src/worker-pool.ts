import { Worker } from 'node:worker_threads';
import { AppError } from '@pvtrail/primitives';
import { CHUNKS_IN_FLIGHT, type FromWorker, type ToWorker, type WorkerStart } from './worker-protocol.js';

const WORKER_FILE = new URL('../dist/worker.js', import.meta.url);

/** A worker that its holder alone talks to, until it is released. */
export interface Lease {
  send(message: ToWorker): void;
  /** The next message; rejects when the worker dies. */
  receive(): Promise<FromWorker>;
  /** Allows the worker one more chunk. */
  credit(): void;
  /** `idle` returns the worker to the pool; `spent` ends it, because its guest did not reach its end. Only the first call counts. */
  release(state: 'idle' | 'spent'): void;
}

/** Worker threads that execute guests, started when first needed, at most `size` at once. */
export class WorkerPool {
  readonly #size: number;
  readonly #imagesRoot: string | undefined;
  readonly #idle: PooledWorker[] = [];
  readonly #all = new Set<PooledWorker>();
  readonly #waiting: ((worker: PooledWorker) => void)[] = [];

  constructor(size: number, imagesRoot: string | undefined) {
    this.#size = size;
    this.#imagesRoot = imagesRoot;
  }

  /**
   * Resolves when a worker is free.
   * @param text names the guest's text: a worker that ran the same before is preferred, because it has it translated
   */
  async lease(text: string): Promise<Lease> {
    const worker = this.#takeIdle(text) ?? (this.#all.size < this.#size ? this.#start() : await this.#next());
    worker.text = text;
    let released = false;
    return {
      send: (message) => worker.send(message),
      receive: () => worker.receive(),
      credit: () => worker.credit(),
      release: (state) => {
        if (!released) this.#release(worker, state);
        released = true;
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
    this.#all.clear();
  }

  /** An idle worker that knows the text; any other only when no further one may be started. */
  #takeIdle(text: string): PooledWorker | undefined {
    const known = this.#idle.findIndex((worker) => worker.text === text);
    if (known < 0 && this.#all.size < this.#size) return undefined;
    return this.#idle.splice(known, 1)[0];
  }

  #start(): PooledWorker {
    const worker = new PooledWorker(this.#imagesRoot);
    this.#all.add(worker);
    return worker;
  }

  #next(): Promise<PooledWorker> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #release(worker: PooledWorker, state: 'idle' | 'spent'): void {
    const waiting = this.#waiting.shift();
    if (state === 'idle') {
      if (waiting) waiting(worker);
      else this.#idle.push(worker);
      return;
    }
    this.#all.delete(worker);
    void worker.terminate();
    if (waiting) waiting(this.#start());
  }
}

class PooledWorker {
  /** Of the last guest. */
  text = '';
  readonly #worker: Worker;
  readonly #credits = new Int32Array(new SharedArrayBuffer(4));
  readonly #inbox: FromWorker[] = [];
  #waiting: { resolve: (message: FromWorker) => void; reject: (error: unknown) => void } | undefined;
  #death: unknown;

  constructor(imagesRoot: string | undefined) {
    this.#credits[0] = CHUNKS_IN_FLIGHT;
    const workerData: WorkerStart = { imagesRoot, credits: this.#credits.buffer as SharedArrayBuffer };
    this.#worker = new Worker(WORKER_FILE, { workerData });
    this.#worker.on('message', (message: FromWorker) => this.#deliver(message));
    this.#worker.on('error', (error) => this.#die(error));
    this.#worker.on('exit', (code) =>
      this.#die(new AppError('guest/failed', `a guest worker ended with code ${code}`)),
    );
  }

  send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  receive(): Promise<FromWorker> {
    const message = this.#inbox.shift();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#death !== undefined) return Promise.reject(this.#death);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  credit(): void {
    Atomics.add(this.#credits, 0, 1);
    Atomics.notify(this.#credits, 0);
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #deliver(message: FromWorker): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting.resolve(message);
    else this.#inbox.push(message);
  }

  #die(error: unknown): void {
    this.#death ??= error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}
