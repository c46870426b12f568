const PAGE_BYTES = 65536;

/** Hands out memory upwards from a base and grows the WebAssembly memory as needed; nothing is given back. */
export class Arena {
  readonly memory: WebAssembly.Memory;
  #next: number;
  #words: Uint32Array;

  constructor(memory: WebAssembly.Memory, base: number) {
    this.memory = memory;
    this.#next = base;
    this.#words = new Uint32Array(memory.buffer);
  }

  /** The offset of `bytes` zeroed bytes. @param align a power of two */
  allocate(bytes: number, align = 4): number {
    const offset = Math.ceil(this.#next / align) * align;
    this.#next = offset + bytes;
    const missing = this.#next - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.max(Math.ceil(missing / PAGE_BYTES), 16));
    new Uint8Array(this.memory.buffer, offset, bytes).fill(0);
    return offset;
  }

  /** The memory as 32-bit words; the view is valid until the memory grows. */
  get words(): Uint32Array {
    if (this.#words.buffer !== this.memory.buffer) this.#words = new Uint32Array(this.memory.buffer);
    return this.#words;
  }

  bytes(offset: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, offset, length);
  }
}
