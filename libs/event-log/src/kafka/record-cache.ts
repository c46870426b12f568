import type { LogRecord } from '../port.js';

const keyOf = (topic: string, partition: number, offset: number): string => `${topic}/${partition}/${offset}`;

/** Records read last, up to a number of bytes: what was just written is what is read next. */
export class RecordCache {
  readonly #maxBytes: number;
  /** Oldest first. */
  readonly #records = new Map<string, LogRecord>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(record: LogRecord): void {
    const key = keyOf(record.topic, record.partition, record.offset);
    if (this.#records.has(key)) return;
    // A copy: the value is a view of the whole answer of the broker.
    this.#records.set(key, { ...record, value: Buffer.from(record.value) });
    this.#bytes += record.value.byteLength;
    for (const [oldest, { value }] of this.#records) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#records.delete(oldest);
      this.#bytes -= value.byteLength;
    }
  }

  get(topic: string, partition: number, offset: number): LogRecord | undefined {
    return this.#records.get(keyOf(topic, partition, offset));
  }
}
