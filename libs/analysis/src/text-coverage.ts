const PAGE_BITS = 12n;
const PAGE_BYTES = 4096;

/** Which bytes of text were executed, by virtual address, so that each is counted once. */
export class TextCoverage {
  /** virtual page number → one bit per byte */
  readonly pages = new Map<bigint, Uint8Array>();

  /** Marks the bytes as executed. Returns how many of them were not before. */
  add(virt: bigint, bytes: number): number {
    let added = 0;
    for (let i = 0; i < bytes; i++) {
      const address = virt + BigInt(i);
      const page = this.#page(address >> PAGE_BITS);
      const offset = Number(address & BigInt(PAGE_BYTES - 1));
      const bit = 1 << (offset & 7);
      const word = page[offset >> 3] ?? 0;
      if ((word & bit) === 0) added++;
      page[offset >> 3] = word | bit;
    }
    return added;
  }

  restore(pages: ReadonlyMap<bigint, Uint8Array>): void {
    this.pages.clear();
    for (const [page, bits] of pages) this.pages.set(page, bits.slice());
  }

  #page(number: bigint): Uint8Array {
    const known = this.pages.get(number);
    if (known !== undefined) return known;
    const page = new Uint8Array(PAGE_BYTES / 8);
    this.pages.set(number, page);
    return page;
  }
}
