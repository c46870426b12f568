const PAGE_MASK = 0xfff;
const STEP_BYTES = 4;
const FILTER_MASK = 0xffff;

const filterIndex = (place: number): number => (place >>> 2) & FILTER_MASK;

/**
 * Return addresses that calls have pushed, by guest-physical place, for as long as nothing else was written there: what is known is
 * sure. Places that are no multiple of 4 or cross a page are not followed.
 */
export class ReturnAddresses {
  readonly #pushed = new Map<number, bigint>();
  /** How many places share these bits of their address: nearly all writes meet none, and need not look further. */
  readonly #filter = new Uint32Array(FILTER_MASK + 1);

  push(place: number, widthBytes: number, address: bigint): void {
    this.overwrite(place, widthBytes);
    const followed = place % STEP_BYTES === 0 && (place & PAGE_MASK) + widthBytes <= PAGE_MASK + 1;
    if (!followed) return;
    this.#pushed.set(place, address);
    const index = filterIndex(place);
    this.#filter[index] = (this.#filter[index] ?? 0) + 1;
  }

  /** Something else was written to `[place, place + bytes)`. */
  overwrite(place: number, bytes: number): void {
    // A return address of 8 bytes may begin 7 bytes before what is written.
    const first = place - (place % STEP_BYTES) - STEP_BYTES;
    for (let at = first; at < place + bytes; at += STEP_BYTES) {
      if (this.#filter[filterIndex(at)] !== 0) this.#remove(at);
    }
  }

  /** Where a return that reads this place goes, undefined if that is not known. */
  read(place: number): bigint | undefined {
    return this.#pushed.get(place);
  }

  /** Anything may have been written anywhere. */
  forget(): void {
    this.#pushed.clear();
    this.#filter.fill(0);
  }

  #remove(place: number): void {
    if (!this.#pushed.delete(place)) return;
    const index = filterIndex(place);
    this.#filter[index] = (this.#filter[index] ?? 0) - 1;
  }
}
