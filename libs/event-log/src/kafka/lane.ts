import type { LogRecord, TopicPartition } from '../port.js';

/** Records of one partition that wait for the handler: in order, each once for as long as the partition is ours. */
export class Lane implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  /** Everything below was handled for good before the lane began. */
  readonly begin: number;
  /** The partition went to another member, or may have. */
  lost = false;
  #queue: LogRecord[] = [];
  #inHand: readonly LogRecord[] = [];
  #bytes = 0;
  #wake: () => void = () => {};
  #next: number;
  #end = 0;

  constructor({ topic, partition }: TopicPartition, begin: number) {
    this.topic = topic;
    this.partition = partition;
    this.begin = begin;
    this.#next = begin;
  }

  /** Everything below was handled, or is not to be. */
  get handled(): number {
    return this.#inHand[0]?.offset ?? this.#queue[0]?.offset ?? this.#next;
  }

  /** Records of the partition, as far as is known, that were not handled. */
  get lag(): number {
    return Math.max(0, this.#end - this.handled);
  }

  /** Of the values that wait or are in hand. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * After each rebalance the broker delivers again from the committed offset; what came already is passed over.
   * @param next the offset behind what was fetched
   * @param end the offset behind the partition's last record
   */
  add(records: readonly LogRecord[], next: number, end: number): void {
    for (const record of records) {
      if (record.offset < this.#next) continue;
      this.#queue.push(record);
      this.#bytes += record.value.byteLength;
    }
    this.#next = Math.max(this.#next, next);
    this.#end = end;
    this.#wake();
  }

  /** The next records: no more than `maxRecords`, no more bytes than `maxBytes` unless the first one is larger; none when none wait. */
  take(maxRecords: number, maxBytes: number): readonly LogRecord[] {
    let count = 0;
    let bytes = 0;
    for (const { value } of this.#queue) {
      if (count === maxRecords || (count > 0 && bytes + value.byteLength > maxBytes)) break;
      bytes += value.byteLength;
      count++;
    }
    this.#inHand = this.#queue.splice(0, count);
    return this.#inHand;
  }

  /** What was taken is in hand no more. */
  release(): void {
    this.#bytes -= this.#inHand.reduce((sum, { value }) => sum + value.byteLength, 0);
    this.#inHand = [];
  }

  /** Resolves when something was added, or the lane was lost or woken. */
  async changed(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    this.#wake();
  }

  lose(): void {
    this.lost = true;
    this.#queue = [];
    this.#wake();
  }
}
