import { zigzag32 } from './bytes.js';

/*
 * The predictors of docs/trace-format.md, written to be read. assembly/ has the fast twins; both give the same bytes.
 * All of them start afresh in every chunk. Block numbers count from 1, so that 0 is "none".
 */

const HISTORY_MASK = 0x7fff;

/** Folds a block into the history of the last three blocks, 15 bits. */
const nextHistory = (history: number, local: number): number =>
  ((history << 5) ^ (Math.imul(local, 0x9e3779b1) >>> 17)) & HISTORY_MASK;

/** Says which block comes next: the one that came the last time after the same three. */
export class SuccessorPredictor {
  readonly #successors = new Map<number, number>();
  readonly #lastSuccessors = new Map<number, number>();
  #history = 0;
  #previous = 0;

  /** The predicted block, or 0. */
  get predicted(): number {
    return this.#successors.get(this.#history) ?? 0;
  }

  /** What came after the present block at the last miss behind it, or 0. */
  get lastSuccessor(): number {
    return this.#lastSuccessors.get(this.#previous) ?? 0;
  }

  learnMiss(local: number): void {
    this.#lastSuccessors.set(this.#previous, local);
    this.#successors.set(this.#history, local);
  }

  advance(local: number): void {
    this.#history = nextHistory(this.#history, local);
    this.#previous = local;
  }
}

/** Miss tokens of the sequence column; every other token is a block's number + 1. */
export const SEQUENCE_TOKENS = { newBlock: 0, lastSuccessor: 1 } as const;

/** The two low bits of a miss token of the address column. */
const ADDRESS_TOKENS = { fromLast: 0, fromNeighbourAgain: 1, alternate: 2, fromNeighbour: 3 } as const;

/** By how much the last slot of a block that moved off its stride has moved; undefined before one has. */
export type Shift = number | undefined;

/**
 * Says which address a reference slot touches next: the last one and a stride, or, where the slot has followed the slots before it
 * in such a case, the last one and the shift of those.
 */
export class SlotPredictor {
  #last = 0;
  #stride = 0;
  #follows = false;
  #missStep = 0;
  #neighbourStep = 0;
  #alternate = 0;

  predicted(shift: Shift): number {
    return (this.#last + (this.#follows && shift !== undefined ? shift : this.#stride)) >>> 0;
  }

  /** Learns from an address; `neighbour` is the address before it in the column. Returns the shift that the next slot of the block sees. */
  advance(address: number, neighbour: number, shift: Shift): Shift {
    const step = (address - this.#last) >>> 0;
    const own = step === this.#stride;
    if (shift !== undefined && own !== (step === shift)) this.#follows = !own;
    if (!own) this.#move(step, (address - neighbour) >>> 0);
    this.#last = address;
    return own ? shift : step;
  }

  /** The token that says what a missed address is. */
  token(address: number, neighbour: number): number {
    if (address === (neighbour + this.#neighbourStep) >>> 0) return ADDRESS_TOKENS.fromNeighbourAgain;
    if (address === this.#alternate) return ADDRESS_TOKENS.alternate;
    const fromLast = zigzag32((address - this.#last) | 0);
    const fromNeighbour = zigzag32((address - neighbour) | 0);
    return fromLast <= fromNeighbour
      ? fromLast * 4 + ADDRESS_TOKENS.fromLast
      : fromNeighbour * 4 + ADDRESS_TOKENS.fromNeighbour;
  }

  /** The address that a token stands for, given its step already read back from zigzag. */
  resolve(kind: number, step: number, neighbour: number): number {
    switch (kind) {
      case ADDRESS_TOKENS.fromLast:
        return (this.#last + step) >>> 0;
      case ADDRESS_TOKENS.fromNeighbourAgain:
        return (neighbour + this.#neighbourStep) >>> 0;
      case ADDRESS_TOKENS.alternate:
        return this.#alternate;
      default:
        return (neighbour + step) >>> 0;
    }
  }

  /** Two equal steps off the stride make a new stride. */
  #move(step: number, neighbourStep: number): void {
    if (step === this.#missStep) this.#stride = step;
    this.#missStep = step;
    this.#neighbourStep = neighbourStep;
    this.#alternate = this.#last;
  }
}
