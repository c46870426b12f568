import type { PredictorShape } from './configuration.js';

/** gshare, target buffer and return stack in plain objects: the slow twin of assembly/predictor.ts. Addresses are low halves. */
export class NaivePredictor {
  readonly #shape: PredictorShape;
  readonly #counters: number[];
  readonly #targets: { branch: number; target: number }[][];
  readonly #returns: number[] = [];
  #history = 0;

  constructor(shape: PredictorShape) {
    this.#shape = shape;
    this.#counters = new Array<number>(shape.counters).fill(1);
    this.#targets = Array.from({ length: shape.targetSets }, () => []);
  }

  /** Whether the direction of a conditional branch was predicted; learns it. */
  conditional(branch: number, taken: boolean): boolean {
    const index = ((branch ^ this.#history) >>> 0) % this.#shape.counters;
    const counter = this.#counters[index] ?? 0;
    this.#counters[index] = taken ? Math.min(3, counter + 1) : Math.max(0, counter - 1);
    this.#history = (this.#history * 2 + (taken ? 1 : 0)) % 2 ** this.#shape.historyBits;
    return counter >= 2 === taken;
  }

  /** Whether the target of an indirect jump or call was predicted; learns it. */
  indirect(branch: number, target: number): boolean {
    const set = this.#targets[branch % this.#targets.length] ?? [];
    const position = set.findIndex((entry) => entry.branch === branch);
    const known = position < 0 ? undefined : set.splice(position, 1)[0];
    set.unshift({ branch, target });
    if (set.length > this.#shape.targetWays) set.pop();
    return known?.target === target;
  }

  call(returnAddress: number): void {
    this.#returns.push(returnAddress);
    if (this.#returns.length > this.#shape.returnDepth) this.#returns.shift();
  }

  /** Whether a return to `address` was predicted; pops. */
  return(address: number): boolean {
    return this.#returns.pop() === address;
  }
}
