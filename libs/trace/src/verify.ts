import { AppError, type Digest, formatVirt, toHex } from '@pvtrail/primitives';
import { type BlockShape, describeBlock } from '@pvtrail/x86';
import { type OpenChunk, openChunk } from './chunk.js';
import { ChunkWalk } from './chunk-walk.js';
import { ControlFlow, type FlowBlock, wrapAddress } from './control-flow.js';
import { decodeReference } from './decoder-reference.js';
import type { ChunkHeader } from './header.js';
import { isBlockEvent, type RawColumns } from './raw-columns.js';
import { ReturnAddresses } from './return-addresses.js';

/** Turns a chunk into raw columns: `decodeReference`, or a TraceDecoder's `decode`. */
export type Decode = (chunk: OpenChunk) => RawColumns;

/** What a verified run of chunks holds. */
export interface VerifiedTrace {
  readonly guest: Digest;
  readonly chunks: number;
  readonly firstSequence: number;
  readonly instructions: number;
  readonly kernelInstructions: number;
  readonly executions: number;
  readonly addresses: number;
  /** They are the whole trace of the guest, from its first chunk to the one that ends it. */
  readonly complete: boolean;
}

const corrupt = (header: ChunkHeader, message: string): AppError =>
  new AppError('trace/corrupt-chunk', `chunk ${header.sequence}: ${message}`, { sequence: header.sequence });

/** A block's bytes must be exactly one block by ADR 002, with the slots that the dictionary gives it. */
class ShapeCheck {
  readonly #shapes = new Map<string, BlockShape>();

  flowBlocks({ header, dictionary }: OpenChunk): FlowBlock[] {
    return Array.from({ length: dictionary.count }, (_, block) => {
      const virt = dictionary.virt(block);
      const shape = this.#shape(dictionary.bytes(block), virt, dictionary.bits(block));
      const rep = shape.slots.some((slot) => slot.repeated);
      const fits =
        shape.byteLength === dictionary.columns.byteLength[block] &&
        shape.instructions.length === dictionary.instructions(block) &&
        shape.slots.length === dictionary.slots(block) &&
        rep === dictionary.rep(block);
      if (!fits)
        throw corrupt(header, `the bytes at ${formatVirt(virt)} are not the block that the dictionary describes`);
      const next = wrapAddress(virt + BigInt(shape.byteLength), shape.bits);
      return { virt, next, user: dictionary.user(block), rep, shape };
    });
  }

  #shape(bytes: Uint8Array, virt: bigint, bits: 32 | 64): BlockShape {
    const key = `${virt} ${bits} ${toHex(bytes)}`;
    const known = this.#shapes.get(key);
    if (known !== undefined) return known;
    const shape = describeBlock(bytes, virt, bits);
    this.#shapes.set(key, shape);
    return shape;
  }
}

const requireCounts = (header: ChunkHeader, columns: RawColumns, counted: ReturnType<ChunkWalk['run']>): void => {
  const executions = columns.events.reduce((count, event) => count + (isBlockEvent(event) ? 1 : 0), 0);
  const found: Partial<Record<keyof ChunkHeader, number>> = {
    ...counted,
    executions,
    rawEvents: columns.events.length,
    addressCount: columns.addresses.length,
    extraCount: columns.extras.length,
  };
  for (const [name, value] of Object.entries(found)) {
    const declared = header[name as keyof ChunkHeader];
    if (declared !== value) throw corrupt(header, `it declares ${name} ${declared} and holds ${value}`);
  }
};

const requireSuccession = (before: ChunkHeader, header: ChunkHeader): void => {
  const complain = (message: string): AppError =>
    new AppError('trace/discontinuous', `chunk ${header.sequence}: ${message}`, { sequence: header.sequence });
  if (header.guest !== before.guest) throw complain('it belongs to another guest than the chunk before');
  if (before.last) throw complain('it follows the chunk that ends the trace');
  if (header.sequence !== before.sequence + 1) throw complain(`chunk ${before.sequence + 1} is missing before it`);
  if (header.firstInstruction !== before.firstInstruction + before.instructions) {
    throw complain('its first instruction is not the one after the chunk before');
  }
};

/** Verifies the chunks of one guest, one after another; `verifySequence` is the usual way in. */
export class TraceVerifier {
  readonly #decode: Decode;
  readonly #shapes = new ShapeCheck();
  readonly #flow = new ControlFlow();
  readonly #returns = new ReturnAddresses();
  #before: ChunkHeader | undefined;
  #summary: VerifiedTrace | undefined;

  constructor(decode: Decode = decodeReference) {
    this.#decode = decode;
  }

  /** What has been verified so far, undefined before the first chunk. */
  get summary(): VerifiedTrace | undefined {
    return this.#summary;
  }

  /**
   * Verifies the next chunk: structure, digest, counts, blocks, and that control flows on from the chunk before.
   * @throws AppError `trace/corrupt-chunk`, `trace/truncated-chunk`, `trace/unsupported-version`, `trace/too-large`, `trace/discontinuous`
   */
  add(bytes: Uint8Array): ChunkHeader {
    const chunk = openChunk(bytes);
    const { header } = chunk;
    if (this.#before !== undefined) requireSuccession(this.#before, header);
    const blocks = this.#shapes.flowBlocks(chunk);
    const columns = this.#decode(chunk);
    const walk = new ChunkWalk(header, blocks, columns, this.#flow, this.#returns);
    requireCounts(header, columns, walk.run());
    this.#before = header;
    this.#summary = this.#add(header);
    return header;
  }

  #add(header: ChunkHeader): VerifiedTrace {
    const before = this.#summary;
    const firstSequence = before?.firstSequence ?? header.sequence;
    return {
      guest: header.guest,
      chunks: (before?.chunks ?? 0) + 1,
      firstSequence,
      instructions: (before?.instructions ?? 0) + header.instructions,
      kernelInstructions: (before?.kernelInstructions ?? 0) + header.kernelInstructions,
      executions: (before?.executions ?? 0) + header.executions,
      addresses: (before?.addresses ?? 0) + header.addressCount,
      complete: header.last && firstSequence === 0,
    };
  }
}

/** Verifies one chunk by itself. @throws as `TraceVerifier.add` */
export const verifyChunk = (bytes: Uint8Array, decode?: Decode): ChunkHeader => new TraceVerifier(decode).add(bytes);

/**
 * Verifies consecutive chunks of one guest, which need not begin with the first.
 * @throws as `TraceVerifier.add`; `trace/truncated-chunk` when there is no chunk at all
 */
export const verifySequence = (chunks: Iterable<Uint8Array>, decode?: Decode): VerifiedTrace => {
  const verifier = new TraceVerifier(decode);
  for (const chunk of chunks) verifier.add(chunk);
  if (verifier.summary === undefined) throw new AppError('trace/truncated-chunk', 'there is no chunk to verify');
  return verifier.summary;
};
