import { AppError, type Digest, toHex } from '@pvtrail/primitives';
import { DECODER_LIMITS } from './limits.js';

export const FORMAT_VERSION = 1;
export const HEADER_BYTES = 152;
const MAGIC = 'PVTC';
const DIGEST_AT = 120;
const GUEST_AT = 8;

/** Sizes of the columns of a body, in their order. */
export const COLUMNS = ['dictionary', 'code', 'sequence', 'addresses', 'events', 'counts'] as const;
export type ColumnName = (typeof COLUMNS)[number];

/** The u32 fields from offset 40 on, in their order (docs/trace-format.md, "Header"). */
const FIELDS = [
  'sequence',
  'flags',
  'executions',
  'instructions',
  'kernelInstructions',
  'rawEvents',
  'addressCount',
  'extraCount',
  'blocks',
  'slots',
] as const;
const FIELDS_AT = 40;
const FIRST_INSTRUCTION_AT = 80;
const COLUMNS_AT = 88;
const COMPRESSED_AT = 112;

/** What a chunk says about itself; all counts are of this chunk alone. */
export interface ChunkHeader {
  readonly version: number;
  /** Identity of the guest's run: SHA-256, given by the caller. */
  readonly guest: Digest;
  /** 0, 1, 2 … per guest. */
  readonly sequence: number;
  /** The trace ends with this chunk. */
  readonly last: boolean;
  /** Blocks executed, in whole or in part. */
  readonly executions: number;
  /** Retired instructions, user and kernel. */
  readonly instructions: number;
  readonly kernelInstructions: number;
  /** Values of the raw events column: executions and events. */
  readonly rawEvents: number;
  readonly addressCount: number;
  readonly extraCount: number;
  /** Blocks of the dictionary, and the sum of their reference slots. */
  readonly blocks: number;
  readonly slots: number;
  /** Instructions retired in all chunks before this one; below 2⁵³. */
  readonly firstInstruction: number;
  readonly columnBytes: Readonly<Record<ColumnName, number>>;
  /** SHA-256 over the header's fields and the uncompressed columns; independent of zstd. */
  readonly digest: Digest;
}

const bytesOfDigest = (digest: Digest): Uint8Array => Uint8Array.from(Buffer.from(digest, 'hex'));

export const bodyBytesOf = (header: Pick<ChunkHeader, 'columnBytes'>): number =>
  COLUMNS.reduce((sum, name) => sum + header.columnBytes[name], 0);

const fieldsOf = (header: Omit<ChunkHeader, 'digest'>): Record<(typeof FIELDS)[number], number> => ({
  ...header,
  flags: header.last ? 1 : 0,
});

/** The header's bytes. The digest covers them with the compressed length and the digest itself as 0. */
export const writeHeader = (header: ChunkHeader | Omit<ChunkHeader, 'digest'>, compressedBytes: number): Uint8Array => {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from(MAGIC, 'latin1'));
  view.setUint16(4, header.version, true);
  view.setUint16(6, HEADER_BYTES, true);
  bytes.set(bytesOfDigest(header.guest), GUEST_AT);
  const fields = fieldsOf(header);
  for (const [index, name] of FIELDS.entries()) view.setUint32(FIELDS_AT + index * 4, fields[name], true);
  view.setBigUint64(FIRST_INSTRUCTION_AT, BigInt(header.firstInstruction), true);
  for (const [index, name] of COLUMNS.entries()) view.setUint32(COLUMNS_AT + index * 4, header.columnBytes[name], true);
  view.setUint32(COMPRESSED_AT, compressedBytes, true);
  if ('digest' in header) bytes.set(bytesOfDigest(header.digest), DIGEST_AT);
  return bytes;
};

const corrupt = (message: string): AppError => new AppError('trace/corrupt-chunk', message);

const requireSupported = (bytes: Uint8Array, view: DataView): void => {
  if (Buffer.from(bytes.subarray(0, 4)).toString('latin1') !== MAGIC) {
    throw corrupt("this is no trace chunk: it does not begin with 'PVTC'");
  }
  const version = view.getUint16(4, true);
  if (version !== FORMAT_VERSION) {
    throw new AppError(
      'trace/unsupported-version',
      `chunk format ${version} is unknown; this build reads ${FORMAT_VERSION}`,
    );
  }
  if (view.getUint16(6, true) !== HEADER_BYTES) throw corrupt('the header has a wrong length');
};

/** Declared sizes are compared with the limits before anything of that size is allocated. */
const requireWithinLimits = (header: ChunkHeader): void => {
  const found: Record<keyof typeof DECODER_LIMITS, number> = {
    bodyBytes: bodyBytesOf(header),
    blocks: header.blocks,
    slots: header.slots,
    rawEvents: header.rawEvents,
    addresses: header.addressCount,
    extras: header.extraCount,
  };
  for (const [name, limit] of Object.entries(DECODER_LIMITS)) {
    const declared = found[name as keyof typeof DECODER_LIMITS];
    if (declared > limit) {
      throw new AppError('trace/too-large', `the chunk declares ${declared} ${name}; at most ${limit} are allowed`);
    }
  }
  if (header.executions > header.rawEvents) throw corrupt('the chunk declares more executions than events');
};

const digestAt = (bytes: Uint8Array, at: number): Digest => toHex(bytes.subarray(at, at + 32)) as Digest;

/**
 * Reads and checks a chunk's header; the digest is not checked yet.
 * @throws AppError `trace/truncated-chunk`, `trace/corrupt-chunk`, `trace/unsupported-version`, `trace/too-large`
 */
export const readHeader = (bytes: Uint8Array): { header: ChunkHeader; compressedBytes: number } => {
  if (bytes.length < HEADER_BYTES) {
    throw new AppError('trace/truncated-chunk', `a chunk's header has ${HEADER_BYTES} bytes, here are ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  requireSupported(bytes, view);
  const field = (name: (typeof FIELDS)[number]): number => view.getUint32(FIELDS_AT + FIELDS.indexOf(name) * 4, true);
  const column = (name: ColumnName): number => view.getUint32(COLUMNS_AT + COLUMNS.indexOf(name) * 4, true);
  const firstInstruction = view.getBigUint64(FIRST_INSTRUCTION_AT, true);
  if (firstInstruction > BigInt(Number.MAX_SAFE_INTEGER))
    throw corrupt('the number of the first instruction is absurd');
  const header: ChunkHeader = {
    version: FORMAT_VERSION,
    guest: digestAt(bytes, GUEST_AT),
    sequence: field('sequence'),
    last: (field('flags') & 1) === 1,
    executions: field('executions'),
    instructions: field('instructions'),
    kernelInstructions: field('kernelInstructions'),
    rawEvents: field('rawEvents'),
    addressCount: field('addressCount'),
    extraCount: field('extraCount'),
    blocks: field('blocks'),
    slots: field('slots'),
    firstInstruction: Number(firstInstruction),
    columnBytes: {
      dictionary: column('dictionary'),
      code: column('code'),
      sequence: column('sequence'),
      addresses: column('addresses'),
      events: column('events'),
      counts: column('counts'),
    },
    digest: digestAt(bytes, DIGEST_AT),
  };
  requireWithinLimits(header);
  const compressedBytes = view.getUint32(COMPRESSED_AT, true);
  // What the fields do not carry (reserved bytes and flags) must be 0.
  if (Buffer.compare(writeHeader(header, compressedBytes), bytes.subarray(0, HEADER_BYTES)) !== 0) {
    throw corrupt('the header has reserved bits set');
  }
  return { header, compressedBytes };
};
