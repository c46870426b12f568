/** xorshift32 (Marsaglia 2003): the only source of randomness, always seeded. */
export class SeededRandom {
  #state: number;

  /** @param seed any 32-bit number; 0 is replaced, because xorshift stays at 0. */
  constructor(seed: number) {
    this.#state = seed >>> 0 || 0x9e3779b9;
  }

  /** The next value, 0 … 2³²−1. */
  nextU32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /** A whole number, 0 … bound−1. */
  below(bound: number): number {
    return Number((BigInt(this.nextU32()) * BigInt(bound)) >> 32n);
  }

  nextU64(): bigint {
    return (BigInt(this.nextU32()) << 32n) | BigInt(this.nextU32());
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('pick from an empty list');
    return item;
  }
}
