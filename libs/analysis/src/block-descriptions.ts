import { AppError, formatVirt, toHex } from '@pvtrail/primitives';
import type { KernelCatalogue } from '@pvtrail/pvops';
import { type BlockShape, describeBlock } from '@pvtrail/x86';
import { type InstructionProfile, profileBlock, type TraceBlock } from './block-profile.js';
import { CatalogueIndex } from './catalogue-index.js';

/** What a block is, and what its instructions mean under a catalogue. */
export interface BlockDescription {
  readonly bytes: Uint8Array;
  readonly bits: 32 | 64;
  readonly user: boolean;
  readonly shape: BlockShape;
  readonly profile: readonly InstructionProfile[];
}

/** User code differs from guest to guest; this many blocks are several kernels and their users. */
const MAX_DESCRIPTIONS = 50_000;

/** Describes blocks under one stage's catalogue, each once. Simulators of one stage may share it: decoding is most of a short guest's analysis. */
export class BlockDescriptions {
  readonly index: CatalogueIndex;
  /** of the kernel */
  readonly bits: 32 | 64;
  readonly #byVirt = new Map<bigint, BlockDescription[]>();
  #count = 0;

  constructor(catalogue: KernelCatalogue) {
    this.index = new CatalogueIndex(catalogue);
    this.bits = catalogue.bits;
  }

  /** @throws AppError `trace/corrupt-chunk` when the bytes are no whole block */
  describe(block: TraceBlock): BlockDescription {
    const { virt, bits, user, bytes } = block;
    const sameAddress = this.#byVirt.get(virt);
    const known = sameAddress?.find(
      (candidate) => candidate.bits === bits && candidate.user === user && Buffer.compare(candidate.bytes, bytes) === 0,
    );
    if (known !== undefined) return known;
    const shape = describeBlock(bytes, virt, bits);
    if (shape.instructions.length === 0 || shape.byteLength !== bytes.length) throw notThisBlock(block);
    const made = { bytes, bits, user, shape, profile: profileBlock(block, shape, this.index) };
    this.#remember(virt, made);
    return made;
  }

  #remember(virt: bigint, made: BlockDescription): void {
    if (this.#count === MAX_DESCRIPTIONS) {
      this.#byVirt.clear();
      this.#count = 0;
    }
    this.#count++;
    const sameAddress = this.#byVirt.get(virt);
    if (sameAddress === undefined) this.#byVirt.set(virt, [made]);
    else sameAddress.push(made);
  }
}

export const notThisBlock = ({ virt, bytes }: TraceBlock): AppError =>
  new AppError(
    'trace/corrupt-chunk',
    `the bytes ${toHex(bytes)} at ${formatVirt(virt)} are not the block that is declared`,
  );
