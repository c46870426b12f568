import { formatVirt } from '@pvtrail/primitives';
import type { CatalogueFunction, CatalogueSave, CatalogueSite, CatalogueThunk, KernelCatalogue } from '@pvtrail/pvops';

/** The stage's catalogue (docs/adr/004) by address. */
export class CatalogueIndex {
  readonly functions: readonly CatalogueFunction[];
  readonly sites: readonly CatalogueSite[];
  readonly thunks: readonly CatalogueThunk[];
  readonly #functionRanges: Ranges;
  readonly #siteRanges: Ranges;
  readonly #thunkRanges: Ranges;
  readonly #saves = new Map<string, CatalogueSave[]>();
  readonly #notSaves: ReadonlySet<string>;

  constructor(catalogue: KernelCatalogue) {
    this.functions = catalogue.functions;
    this.sites = catalogue.sites;
    this.thunks = catalogue.thunks;
    this.#functionRanges = new Ranges(catalogue.functions.map(({ address, slotBytes }) => [address, slotBytes]));
    this.#siteRanges = new Ranges(catalogue.sites.map(({ address, length }) => [address, length]));
    this.#thunkRanges = new Ranges(catalogue.thunks.map(({ address, bytes }) => [address, bytes]));
    for (const save of catalogue.saves) {
      this.#saves.set(save.address, [...(this.#saves.get(save.address) ?? []), save]);
    }
    this.#notSaves = new Set(catalogue.notSaves.map(({ address }) => address));
  }

  /** Index in `functions` of the one whose slot holds the address, or -1; likewise below. */
  functionAt(virt: bigint): number {
    return this.#functionRanges.find(virt);
  }

  siteAt(virt: bigint): number {
    return this.#siteRanges.find(virt);
  }

  thunkAt(virt: bigint): number {
    return this.#thunkRanges.find(virt);
  }

  /** The saves and restores of the instruction at the address: two for an update of a spill slot. */
  savesAt(virt: bigint): readonly CatalogueSave[] {
    return this.#saves.get(formatVirt(virt)) ?? [];
  }

  isNoSave(virt: bigint): boolean {
    return this.#notSaves.has(formatVirt(virt));
  }
}

/** Disjoint address ranges, found by binary search. */
class Ranges {
  readonly #starts: readonly bigint[];
  readonly #ends: readonly bigint[];
  readonly #indices: readonly number[];

  constructor(ranges: readonly (readonly [address: string, bytes: number])[]) {
    const sorted = ranges
      .map(([address, bytes], index) => ({ start: BigInt(address), end: BigInt(address) + BigInt(bytes), index }))
      .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    this.#starts = sorted.map(({ start }) => start);
    this.#ends = sorted.map(({ end }) => end);
    this.#indices = sorted.map(({ index }) => index);
  }

  /** The index of the range that holds the address, or -1. */
  find(address: bigint): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0n) <= address) low = middle + 1;
      else high = middle;
    }
    const inside = low > 0 && address < (this.#ends[low - 1] ?? 0n);
    return inside ? (this.#indices[low - 1] ?? -1) : -1;
  }
}
