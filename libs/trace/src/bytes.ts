import { AppError } from '@pvtrail/primitives';

export const zigzag32 = (value: number): number => ((value << 1) ^ (value >> 31)) >>> 0;
export const unzigzag32 = (value: number): number => ((value >>> 1) ^ -(value & 1)) >>> 0;

/** A growing byte column. */
export class ByteWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** A view, valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** LEB128, unsigned; `value` is a whole number below 2⁵³. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** LEB128 of the zigzag form of `value` taken modulo 2⁶⁴. */
  signed64(value: bigint): void {
    const signed = BigInt.asIntN(64, value);
    let rest = BigInt.asUintN(64, (signed << 1n) ^ (signed >> 63n));
    this.#reserve(10);
    while (rest >= 0x80n) {
      this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** Reads a column and refuses to read past its end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #column: string;
  #at = 0;

  constructor(bytes: Uint8Array, column: string) {
    this.#bytes = bytes;
    this.#column = column;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  get position(): number {
    return this.#at;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw this.#short();
    this.#at++;
    return value;
  }

  /** At most 5 bytes: what the format writes are numbers below 2³⁵. @throws AppError `trace/corrupt-chunk` */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 5; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw this.#short();
  }

  /** A zigzag number modulo 2⁶⁴ of at most 10 bytes, as lo and hi words: the common short ones cost no bigint. */
  signed64(into: { lo: number; hi: number }): void {
    const first = this.#at;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 4; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        into.lo = unzigzag32(value);
        into.hi = (value & 1) === 1 ? 0xffffffff : 0;
        return;
      }
      scale *= 0x80;
    }
    this.#at = first;
    this.#longSigned64(into);
  }

  #longSigned64(into: { lo: number; hi: number }): void {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      const signed = BigInt.asUintN(64, (value >> 1n) ^ -(value & 1n));
      into.lo = Number(signed & 0xffffffffn);
      into.hi = Number(signed >> 32n);
      return;
    }
    throw this.#short();
  }

  #short(): AppError {
    return new AppError('trace/corrupt-chunk', `the ${this.#column} column ends inside a value`, { at: this.#at });
  }
}
