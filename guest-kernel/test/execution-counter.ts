import { createHash } from 'node:crypto';
import type { RawBlock, RawColumns } from '@pvtrail/trace';
import { describeBlock } from '@pvtrail/x86';

/** What a guest executed, of its recorded columns (docs/adr/002). The measured region lies between the markers 2 and 3. */
export interface Executions {
  /** Retired in the measured region. */
  readonly kernelInstructions: number;
  readonly userInstructions: number;
  /** Blocks of the measured region, each with its executions. */
  readonly blocks: ReadonlyMap<RawBlock, number>;
  /** Iterations of the rep string instructions of the measured region. */
  readonly repIterations: ReadonlyMap<RawBlock, number>;
  /** Kernel blocks executed at any time. */
  readonly kernelBlocks: readonly RawBlock[];
  /** Digest of the order of user blocks, exceptions and interrupts from boot to exit: the same system calls, faults and ticks. */
  readonly userPath: string;
}

const EVENT = 2 ** 31;
const CONTINUATION = 2 ** 30;
const ID = 0xffffff;
const KIND = { partial: 0, interrupt: 1, exception: 2, marker: 3, split: 5 } as const;
const MARKER = { started: 2, finished: 3 } as const;
const REP_COUNT = 0x7fffffff;

/** Counts executions in raw columns without analysing them: for tests of what a kernel does. */
export class ExecutionCounter {
  readonly #counts = new Map<RawBlock, number>();
  readonly #kernelBlocks = new Set<RawBlock>();
  readonly #iterations = new Map<RawBlock, number>();
  readonly #path = createHash('sha256');
  readonly #retired = { kernel: 0, user: 0 };
  #measuring = false;
  #last: RawBlock | undefined;

  /** Takes the next columns; extras are in the order of the events that have one. */
  take({ events, extras }: RawColumns, blocks: readonly RawBlock[]): void {
    let extra = 0;
    const path: string[] = [];
    for (const word of events) {
      if (word >= EVENT) {
        const kind = (word >>> 24) & 0x3f;
        const payload = word & ID;
        if (kind === KIND.partial) this.#count(payload - (this.#last?.instructions ?? 0));
        if (kind === KIND.marker) this.#mark(payload);
        if (kind === KIND.interrupt || kind === KIND.exception) path.push(`${kind}:${payload}`);
        if (kind === KIND.interrupt || kind === KIND.exception || kind === KIND.split) extra++;
        continue;
      }
      const block = blocks[word & ID];
      if (block === undefined) throw new Error(`the block of ${word} was not described`);
      if (isRep(block)) this.#iterate(block, (extras[extra++] ?? 0) & REP_COUNT);
      if (word >= CONTINUATION) continue;
      this.#execute(block);
      if (block.user) path.push(`${block.virt}`);
    }
    this.#path.update(path.map((step) => `${step}\n`).join(''));
  }

  executions(): Executions {
    return {
      kernelInstructions: this.#retired.kernel,
      userInstructions: this.#retired.user,
      blocks: this.#counts,
      repIterations: this.#iterations,
      kernelBlocks: [...this.#kernelBlocks],
      userPath: this.#path.copy().digest('hex'),
    };
  }

  #mark(code: number): void {
    if (code === MARKER.started) this.#measuring = true;
    if (code === MARKER.finished) this.#measuring = false;
  }

  #execute(block: RawBlock): void {
    this.#last = block;
    if (!block.user) this.#kernelBlocks.add(block);
    if (this.#measuring) this.#counts.set(block, (this.#counts.get(block) ?? 0) + 1);
    this.#count(block.instructions);
  }

  #iterate(block: RawBlock, count: number): void {
    if (this.#measuring) this.#iterations.set(block, (this.#iterations.get(block) ?? 0) + count);
  }

  #count(instructions: number): void {
    if (this.#measuring) this.#retired[this.#last?.user ? 'user' : 'kernel'] += instructions;
  }
}

const rep = new WeakMap<RawBlock, boolean>();

const isRep = (block: RawBlock): boolean => {
  let known = rep.get(block);
  if (known === undefined) {
    known = describeBlock(block.bytes, block.virt, block.bits).slots.some((slot) => slot.repeated);
    rep.set(block, known);
  }
  return known;
};
