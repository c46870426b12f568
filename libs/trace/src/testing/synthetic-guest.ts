import { fromHex, SeededRandom } from '@pvtrail/primitives';
import { describeBlock } from '@pvtrail/x86';
import { CONTINUATION_BIT, EVENT_KINDS, eventOf, type RawBlock, type RawColumns } from '../raw-columns.js';

/** What a synthetic guest is made of. The defaults resemble a small kernel under a mixture of system calls. */
export interface SyntheticOptions {
  readonly seed: number;
  readonly functions: number;
  /** Retired instructions after which the guest stops. */
  readonly instructions: number;
  /** One fault per so many blocks, 0 for none. */
  readonly faultEvery: number;
}

export interface SyntheticTrace {
  readonly columns: RawColumns;
  readonly blocks: readonly RawBlock[];
  readonly instructions: number;
}

const KERNEL_TEXT = 0xffffffff81000000n;
const USER_TEXT = 0x400000n;
const FUNCTION_BYTES = 1024;
const FRAME_BYTES = 64;
/** Where a call pushes and a return pops the return address, relative to the frame of the function that does it. */
const RETURN_PLACES: Partial<Record<Transfer['kind'], number>> = { call: -FRAME_BYTES - 8, return: -8 };

/** How a slot's address moves from execution to execution. */
type Motion =
  | { readonly kind: 'stack'; readonly offset: number }
  | { readonly kind: 'fixed'; readonly address: number }
  | { readonly kind: 'stride'; readonly base: number; readonly step: number; readonly count: number; at: number }
  | { readonly kind: 'chase'; readonly nodes: readonly number[]; readonly offset: number };

type Transfer =
  | { readonly kind: 'next' }
  | { readonly kind: 'loop'; readonly target: number; readonly iterations: number; left: number }
  | { readonly kind: 'skip'; readonly perMille: number }
  | { readonly kind: 'call'; readonly callee: number }
  | { readonly kind: 'return' };

interface SyntheticBlock {
  readonly raw: RawBlock;
  readonly motions: readonly Motion[];
  readonly transfer: Transfer;
  readonly rep: boolean;
}

interface SyntheticFunction {
  readonly blocks: readonly SyntheticBlock[];
}

const relative = (opcode: string, distance: number): Uint8Array => {
  const bytes = new Uint8Array([...fromHex(opcode), 0, 0, 0, 0]);
  new DataView(bytes.buffer).setInt32(bytes.length - 4, distance, true);
  return bytes;
};

/** What a branch of kind `skip` jumps over: nop; jmp to the next block. */
const SKIPPED = fromHex('90 e900000000');

const concat = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** Bytes of instructions without and with a memory reference: add, mov, lea; push, load, store, update. */
const PLAIN = ['4801d8', '89d8', '488d5f08', '85c0', '0f1f00'].map(fromHex);
const REFERRING = ['53', '5b', '488b4708', '48895f10', '480307', '01470c', '488b4310'].map(fromHex);

class ColumnBuilder {
  #values = new Uint32Array(1 << 16);
  #length = 0;

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const grown = new Uint32Array(this.#length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#length++] = value;
  }

  finish(): Uint32Array {
    return this.#values.slice(0, this.#length);
  }
}

/** Lays out random functions: real instructions, so that the trace stands up to verification. */
class ProgramBuilder {
  readonly blocks: RawBlock[] = [];
  readonly functions: SyntheticFunction[] = [];
  readonly #random: SeededRandom;
  readonly #count: number;

  constructor(random: SeededRandom, count: number) {
    this.#random = random;
    this.#count = count;
    for (let index = 0; index < count; index++) this.functions.push(this.#function(index));
  }

  /** A block outside the functions: entry and exit of the kernel, user code. */
  block(virt: bigint, bytes: Uint8Array, user: boolean, transfer: Transfer): SyntheticBlock {
    const shape = describeBlock(bytes, virt, 64);
    const raw: RawBlock = {
      rawId: this.blocks.length,
      virt,
      phys: Number(virt & 0xffffffn) + (user ? 0x2000000 : 0x1000000),
      physNextPage: 0,
      user,
      bits: 64,
      bytes: bytes.slice(0, shape.byteLength),
      instructions: shape.instructions.length,
      slots: shape.slots.length,
    };
    this.blocks.push(raw);
    const rep = shape.slots.some((slot) => slot.repeated);
    const motions = shape.slots.map(() => this.#motion());
    const offset = RETURN_PLACES[transfer.kind];
    if (offset !== undefined) motions[motions.length - 1] = { kind: 'stack', offset };
    return { raw, motions, transfer, rep };
  }

  #motion(): Motion {
    const random = this.#random;
    const kind = random.below(10);
    if (kind < 5) return { kind: 'stack', offset: 8 * random.below(32) };
    if (kind < 7) return { kind: 'fixed', address: 0x1800000 + 8 * random.below(4096) };
    if (kind < 9) {
      const base = 0x3000000 + 4096 * random.below(256);
      return { kind: 'stride', base, step: 8 << random.below(4), count: 8 + random.below(56), at: 0 };
    }
    const nodes = Array.from({ length: 24 }, () => 0x2800000 + 64 * random.below(8192));
    return { kind: 'chase', nodes, offset: 8 * random.below(8) };
  }

  #function(index: number): SyntheticFunction {
    const virt = KERNEL_TEXT + BigInt(index * FUNCTION_BYTES);
    const blocks: SyntheticBlock[] = [];
    const count = 3 + this.#random.below(9);
    let at = virt;
    for (let block = 0; block < count; block++) {
      const transfer = this.#transfer(index, block, count, blocks);
      const made = this.block(at, this.#bytes(at, transfer, blocks), false, transfer);
      blocks.push(made);
      at += BigInt(made.raw.bytes.length);
    }
    return { blocks };
  }

  #transfer(index: number, block: number, count: number, blocks: readonly SyntheticBlock[]): Transfer {
    const random = this.#random;
    if (block === count - 1) return { kind: 'return' };
    if (blocks.at(-1)?.transfer.kind === 'skip') return { kind: 'next' };
    const dice = random.below(10);
    // A loop may not contain calls: the guest would not get through.
    const target = block - random.below(2);
    const callFree = blocks.slice(Math.max(target, 0)).every((made) => made.transfer.kind !== 'call');
    if (dice < 2 && target >= 0 && callFree) {
      return { kind: 'loop', target, iterations: 1 + random.below(12), left: 0 };
    }
    if (dice < 5 && block < count - 2) return { kind: 'skip', perMille: random.pick([5, 20, 100, 500]) };
    const reach = Math.min(40, this.#count - index - 1);
    if (dice < 7 && reach > 0) return { kind: 'call', callee: index + 1 + random.below(reach) };
    return { kind: 'next' };
  }

  #bytes(at: bigint, transfer: Transfer, blocks: readonly SyntheticBlock[]): Uint8Array {
    const random = this.#random;
    if (blocks.at(-1)?.transfer.kind === 'skip') return SKIPPED;
    const body = Array.from({ length: 2 + random.below(6) }, () =>
      random.pick(random.below(2) === 0 ? PLAIN : REFERRING),
    );
    const length = body.reduce((sum, bytes) => sum + bytes.length, 0);
    const here = at + BigInt(length);
    const to = (target: bigint, size: number): number => Number(target - here) - size;
    switch (transfer.kind) {
      case 'loop':
        return concat([...body, relative('0f85', to(blocks[transfer.target]?.raw.virt ?? at, 6))]);
      case 'skip':
        return concat([...body, relative('0f84', SKIPPED.length)]);
      case 'call':
        return concat([...body, relative('e8', to(KERNEL_TEXT + BigInt(transfer.callee * FUNCTION_BYTES), 5))]);
      case 'return':
        return concat([...body, fromHex('c3')]);
      default:
        return concat([...body, relative('e9', 0)]);
    }
  }
}

/** Runs a synthetic program at the level of blocks and records it as the emulator would. */
class SyntheticMachine {
  readonly #events = new ColumnBuilder();
  readonly #addresses = new ColumnBuilder();
  readonly #extras = new ColumnBuilder();
  readonly #random: SeededRandom;
  readonly #program: ProgramBuilder;
  readonly #options: SyntheticOptions;
  readonly #special: Readonly<
    Record<'work' | 'enter' | 'before' | 'copy' | 'after' | 'leave' | 'iret', SyntheticBlock>
  >;
  #stack = 0x1f00000;
  #tick = 0;
  #blocksRun = 0;
  instructions = 0;

  constructor(options: SyntheticOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#program = new ProgramBuilder(this.#random, options.functions);
    const entry = KERNEL_TEXT + BigInt(options.functions * FUNCTION_BYTES);
    const none: Transfer = { kind: 'next' };
    const make = (virt: bigint, hex: string, user: boolean): SyntheticBlock =>
      this.#program.block(virt, fromHex(hex), user, none);
    this.#special = {
      work: make(USER_TEXT, '488b07 4883c008 48890f 4801d8 0f05', true),
      enter: make(entry, '0f01f8 90', false),
      before: make(entry + 3n, '4889fa 4c89f9 f348a5', false),
      copy: make(entry + 9n, 'f348a5 90', false),
      after: make(entry + 12n, '5b 5d ffe0', false),
      leave: make(entry + 19n, '58 480f07', false),
      iret: make(entry + 32n, '48cf', false),
    };
  }

  get trace(): SyntheticTrace {
    return {
      columns: { events: this.#events.finish(), addresses: this.#addresses.finish(), extras: this.#extras.finish() },
      blocks: this.#program.blocks,
      instructions: this.instructions,
    };
  }

  run(): void {
    this.#event(EVENT_KINDS.marker, 2);
    while (this.instructions < this.#options.instructions) this.#systemCall();
    this.#event(EVENT_KINDS.marker, 3);
    this.#event(EVENT_KINDS.exit, 0);
  }

  #systemCall(): void {
    const { work, enter, before, copy, after, leave } = this.#special;
    this.#tick++;
    this.#stack = 0x1f00000 + (this.#tick % 7 === 0 ? 0x8000 : 0);
    if (this.#tick % 13 === 0) this.#interrupt();
    this.#block(work);
    this.#block(enter);
    this.#block(before);
    this.#copy(copy);
    this.#block(after);
    this.#function((this.#tick * 5) % Math.max(1, this.#program.functions.length >> 2), 0);
    this.#block(leave);
  }

  /** A copy in one run, or in two when it crosses a page. */
  #copy(block: SyntheticBlock): void {
    this.#block(block);
    this.#extras.push(16);
    if (this.#tick % 3 !== 0) return;
    this.#events.push(CONTINUATION_BIT | block.raw.rawId);
    this.#addressesOf(block, block.raw.slots);
    this.#extras.push(8 + (this.#tick % 5));
  }

  #interrupt(): void {
    this.#event(EVENT_KINDS.interrupt, 0x20);
    this.#extras.push(this.#stack + 0x4000);
    this.#function(this.#program.functions.length >> 1, 0);
    this.#block(this.#special.iret);
  }

  #function(index: number, depth: number): void {
    const blocks = this.#program.functions[index]?.blocks ?? [];
    this.#stack -= FRAME_BYTES;
    for (let at = 0; at < blocks.length; ) {
      const block = blocks[at];
      if (block === undefined) break;
      this.#maybeFault(block);
      this.#block(block);
      at = this.#follow(block, at, depth);
    }
    this.#stack += FRAME_BYTES;
  }

  #follow(block: SyntheticBlock, at: number, depth: number): number {
    const { transfer } = block;
    if (transfer.kind === 'call') this.#called(transfer.callee, depth);
    if (transfer.kind === 'skip') return at + (this.#random.below(1000) < transfer.perMille ? 2 : 1);
    if (transfer.kind !== 'loop') return at + 1;
    transfer.left = transfer.left === 0 ? transfer.iterations : transfer.left - 1;
    return transfer.left === 0 ? at + 1 : transfer.target;
  }

  /** Beyond a depth a callee faults at its first instruction's fetch, so that the run stays bounded. */
  #called(callee: number, depth: number): void {
    if (depth < 12) {
      this.#function(callee, depth + 1);
      return;
    }
    this.#event(EVENT_KINDS.exception, 14);
    this.#extras.push(this.#stack);
  }

  #maybeFault(block: SyntheticBlock): void {
    const { faultEvery } = this.#options;
    if (faultEvery === 0 || this.#blocksRun % faultEvery !== faultEvery - 1) return;
    const { raw } = block;
    const retired = this.#random.below(raw.instructions);
    const shape = describeBlock(raw.bytes, raw.virt, 64);
    this.#start(block);
    this.#addressesOf(block, shape.slots.filter((slot) => slot.instruction < retired).length);
    this.instructions -= raw.instructions - retired;
    this.#event(EVENT_KINDS.partial, retired);
    this.#event(EVENT_KINDS.exception, 14);
    this.#extras.push(this.#stack);
    this.#block(this.#special.iret);
  }

  #start(block: SyntheticBlock): void {
    this.#blocksRun++;
    this.#events.push(block.raw.rawId);
    this.instructions += block.raw.instructions;
  }

  #block(block: SyntheticBlock): void {
    this.#start(block);
    this.#addressesOf(block, block.raw.slots);
    if (!block.rep && block.raw.slots > 0 && this.#blocksRun % 997 === 0) {
      this.#event(EVENT_KINDS.split, 0);
      this.#extras.push(0x1801000);
    }
  }

  #addressesOf(block: SyntheticBlock, count: number): void {
    for (let slot = 0; slot < count; slot++) {
      const motion = block.motions[slot];
      if (motion !== undefined) this.#addresses.push(this.#address(motion));
    }
  }

  #address(motion: Motion): number {
    switch (motion.kind) {
      case 'stack':
        return this.#stack + motion.offset;
      case 'fixed':
        return motion.address;
      case 'stride':
        motion.at = (motion.at + 1) % motion.count;
        return motion.base + motion.at * motion.step;
      default:
        return (motion.nodes[this.#tick % motion.nodes.length] ?? 0) + motion.offset;
    }
  }

  #event(kind: number, payload: number): void {
    this.#events.push(eventOf(kind, payload));
  }
}

/** A reproducible trace of a made-up kernel: for tests and benchmarks that need columns without an emulator. */
export const recordSyntheticGuest = (options: Partial<SyntheticOptions> = {}): SyntheticTrace => {
  const machine = new SyntheticMachine({
    seed: 1,
    functions: 300,
    instructions: 2_000_000,
    faultEvery: 2000,
    ...options,
  });
  machine.run();
  return machine.trace;
};
