import { AppError, formatVirt } from '@pvtrail/primitives';
import type { BlockEndKind, BlockShape } from '@pvtrail/x86';
import { EVENT_KINDS } from './raw-columns.js';

/** A block of a trace as the flow of control sees it. */
export interface FlowBlock {
  readonly virt: bigint;
  /** The address behind it. */
  readonly next: bigint;
  readonly user: boolean;
  /** It is a rep string instruction. */
  readonly rep: boolean;
  readonly shape: BlockShape;
}

/** What an error names: the chunk's sequence number and the index in its raw events. */
export interface Place {
  readonly chunk: number;
  readonly event: number;
}

/** Where control may be next. */
type Expectation =
  | { readonly kind: 'anywhere' }
  | { readonly kind: 'nowhere'; readonly because: string }
  | { readonly kind: 'one-of'; readonly addresses: readonly bigint[]; readonly after: FlowBlock };

type Successors = 'anywhere' | 'target' | 'target-or-next' | 'next' | 'event' | 'never';

/** What may follow a block that retired whole (docs/trace-format.md, "Continuity"). */
const SUCCESSORS: Readonly<Record<BlockEndKind, Successors>> = {
  jump: 'target',
  call: 'target',
  conditional: 'target-or-next',
  'indirect-jump': 'anywhere',
  'indirect-call': 'anywhere',
  return: 'anywhere',
  far: 'anywhere',
  'interrupt-return': 'anywhere',
  'system-call': 'anywhere',
  'system-return': 'anywhere',
  'software-interrupt': 'event',
  undefined: 'never',
  halt: 'next',
  system: 'next',
  rep: 'next',
  'before-rep': 'next',
  size: 'next',
  page: 'next',
  bytes: 'next',
};

const ANYWHERE: Expectation = { kind: 'anywhere' };

/** Wraps an address as code of that bitness does. */
export const wrapAddress = (address: bigint, bits: 32 | 64): bigint => BigInt.asUintN(bits, address);

const oneOf = (after: FlowBlock, ...addresses: (bigint | undefined)[]): Expectation => ({
  kind: 'one-of',
  addresses: addresses.filter((address) => address !== undefined),
  after,
});

const afterWhole = (block: FlowBlock): Expectation => {
  const { next } = block;
  const { end, instructions } = block.shape;
  switch (SUCCESSORS[end.kind]) {
    case 'anywhere':
      return ANYWHERE;
    case 'target':
      return oneOf(block, end.target);
    case 'target-or-next':
      return oneOf(block, end.target, next);
    case 'next':
      return oneOf(block, next);
    case 'event':
      // Only `into` goes on when it does not interrupt.
      return instructions.at(-1)?.mnemonic === 'into'
        ? oneOf(block, next)
        : { kind: 'nowhere', because: 'a software interrupt enters its handler by an exception event' };
    default:
      return { kind: 'nowhere', because: 'an undefined instruction cannot retire' };
  }
};

/** Control resumes at the first instruction that did not retire, unless an event takes it elsewhere. */
const afterPart = (block: FlowBlock, retired: number): Expectation => {
  const resumed = block.shape.instructions[retired];
  return resumed === undefined
    ? afterWhole(block)
    : oneOf(block, wrapAddress(block.virt + BigInt(resumed.offset), block.shape.bits));
};

/** Whether each block begins where control can be. It lives across the chunks of a guest. */
export class ControlFlow {
  #expectation: Expectation = ANYWHERE;
  #last: FlowBlock | undefined;
  #exited = false;
  readonly #afterWhole = new WeakMap<FlowBlock, Expectation>();

  /** @throws AppError `trace/discontinuous` */
  block(block: FlowBlock, place: Place): void {
    if (this.#exited) throw discontinuous('a block is executed after the guest has ended', place);
    this.#requireReachable(block, place);
    this.#last = block;
    this.#expectation = this.#after(block);
  }

  /** The block before ended in a return whose target is known. */
  returnTo(target: bigint): void {
    if (this.#last !== undefined) this.#expectation = oneOf(this.#last, target);
  }

  /** @throws AppError `trace/discontinuous` */
  event(kind: number, payload: number, place: Place): void {
    switch (kind) {
      case EVENT_KINDS.partial:
        this.#expectation = afterPart(this.#requireLast(payload, place), payload);
        break;
      case EVENT_KINDS.split:
        this.#requireSlot(payload, place);
        break;
      case EVENT_KINDS.interrupt:
      case EVENT_KINDS.exception:
      case EVENT_KINDS.trap:
        this.#expectation = ANYWHERE;
        break;
      case EVENT_KINDS.exit:
        this.#exited = true;
        break;
      default: // markers and patches leave control where it is
    }
  }

  #after(block: FlowBlock): Expectation {
    const known = this.#afterWhole.get(block);
    if (known !== undefined) return known;
    const expectation = afterWhole(block);
    this.#afterWhole.set(block, expectation);
    return expectation;
  }

  #requireReachable(block: FlowBlock, place: Place): void {
    const expected = this.#expectation;
    if (expected.kind === 'anywhere') return;
    if (expected.kind === 'nowhere') throw discontinuous(expected.because, place);
    const { after, addresses } = expected;
    const sameMode = after.user === block.user && after.shape.bits === block.shape.bits;
    if (sameMode && addresses.includes(block.virt)) return;
    const found = sameMode ? formatVirt(block.virt) : `${formatVirt(block.virt)} in another mode`;
    const wanted = addresses.map(formatVirt).join(' or ');
    throw discontinuous(`after the block at ${formatVirt(after.virt)} comes ${wanted}, not ${found}`, place);
  }

  #requireLast(retired: number, place: Place): FlowBlock {
    const last = this.#last;
    if (last !== undefined && retired <= last.shape.instructions.length) return last;
    throw discontinuous(`${retired} instructions cannot have retired in part of the block before`, place);
  }

  #requireSlot(slot: number, place: Place): void {
    if (this.#last !== undefined && slot < this.#last.shape.slots.length) return;
    throw discontinuous(`the block before has no reference slot ${slot}`, place);
  }
}

const discontinuous = (message: string, place: Place): AppError =>
  new AppError('trace/discontinuous', `chunk ${place.chunk}, event ${place.event}: ${message}`, { ...place });
