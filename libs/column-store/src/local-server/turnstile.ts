import { ProtocolError } from './protocol-error.js';

/** Lets a few in at a time; the others wait in order, but not too many of them. */
export class Turnstile {
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  readonly #idle: (() => void)[] = [];
  readonly #places: number;
  #inside = 0;

  constructor(places: number, maxWaiting: number) {
    this.#places = places;
    this.#maxWaiting = maxWaiting;
  }

  /** @throws ProtocolError TOO_MANY_SIMULTANEOUS_QUERIES */
  async pass<T>(action: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#places) this.#inside++;
    else await this.#turn();
    try {
      return await action();
    } finally {
      this.#leave();
    }
  }

  /** Resolves when nobody is inside. */
  async idle(): Promise<void> {
    if (this.#inside > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #turn(): Promise<void> {
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new ProtocolError('TOO_MANY_SIMULTANEOUS_QUERIES', `${this.#maxWaiting} statements are waiting already`);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The place goes to who waits longest. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next();
      return;
    }
    this.#inside--;
    if (this.#inside === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
