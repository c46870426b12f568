import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { AppError, type Digest, digestOf } from '@pvtrail/primitives';
import { type ChunkDictionary, readDictionary } from './dictionary.js';
import {
  bodyBytesOf,
  type ChunkHeader,
  COLUMNS,
  type ColumnName,
  HEADER_BYTES,
  readHeader,
  writeHeader,
} from './header.js';

/** A chunk before compression: what the digest covers. */
export interface EncodedChunk {
  readonly header: ChunkHeader;
  /** The columns one after another (COLUMNS). */
  readonly body: Uint8Array;
}

/** A chunk read back, its digest checked. */
export interface OpenChunk extends EncodedChunk {
  readonly columns: Readonly<Record<ColumnName, Uint8Array>>;
  readonly dictionary: ChunkDictionary;
}

/** zstd level. On the columns of real kernels level 3 takes one and a half times as long for 3 % less. */
const DEFAULT_ZSTD_LEVEL = 1;

/** No body is longer than 2 MiB, so no frame needs a longer window, and none may ask for one. */
const WINDOW_LOG = 21;

/** SHA-256 over the header (compressed length and digest taken as 0) and the body. */
export const chunkDigest = (header: Omit<ChunkHeader, 'digest'>, body: Uint8Array): Digest => {
  const { digest: _, ...rest } = header as ChunkHeader;
  return digestOf(writeHeader(rest, 0), body);
};

/** The bytes of a chunk file: header, then the body as one zstd frame. */
export const sealChunk = (chunk: EncodedChunk, level: number = DEFAULT_ZSTD_LEVEL): Uint8Array => {
  const compressed = zstdCompressSync(chunk.body, {
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: WINDOW_LOG },
  });
  return Buffer.concat([writeHeader(chunk.header, compressed.length), compressed]);
};

const inflate = (compressed: Uint8Array, bodyBytes: number): Uint8Array => {
  if (bodyBytes === 0) throw new AppError('trace/corrupt-chunk', 'the chunk is empty');
  let body: Uint8Array;
  try {
    body = zstdDecompressSync(compressed, {
      maxOutputLength: bodyBytes,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
    });
  } catch (cause) {
    throw new AppError(
      'trace/corrupt-chunk',
      "the chunk's body is no intact zstd frame of the declared size",
      {},
      cause,
    );
  }
  if (body.length !== bodyBytes) {
    throw new AppError('trace/corrupt-chunk', `the chunk's body has ${body.length} bytes instead of ${bodyBytes}`);
  }
  return body;
};

const splitBody = (header: ChunkHeader, body: Uint8Array): Readonly<Record<ColumnName, Uint8Array>> => {
  let at = 0;
  const columns = {} as Record<ColumnName, Uint8Array>;
  for (const name of COLUMNS) {
    columns[name] = body.subarray(at, at + header.columnBytes[name]);
    at += header.columnBytes[name];
  }
  return columns;
};

/** The length of the chunk file that begins at the first byte. @throws AppError as `readHeader`, `trace/truncated-chunk` */
const chunkBytes = (bytes: Uint8Array): number => {
  const length = HEADER_BYTES + readHeader(bytes).compressedBytes;
  if (bytes.length < length) {
    throw new AppError('trace/truncated-chunk', `the chunk has ${length} bytes, here are ${bytes.length}`);
  }
  return length;
};

/**
 * Takes apart a file that holds one chunk after another.
 * @throws AppError `trace/truncated-chunk`, `trace/corrupt-chunk`, `trace/unsupported-version`, `trace/too-large`
 */
export const splitChunks = (file: Uint8Array): Uint8Array[] => {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < file.length; ) {
    const length = chunkBytes(file.subarray(at));
    chunks.push(file.subarray(at, at + length));
    at += length;
  }
  return chunks;
};

/** A chunk's columns and dictionary, without the frame. @throws AppError `trace/corrupt-chunk` */
export const openEncoded = (chunk: EncodedChunk): OpenChunk => {
  const columns = splitBody(chunk.header, chunk.body);
  const dictionary = readDictionary(columns.dictionary, columns.code, chunk.header.blocks);
  return { ...chunk, columns, dictionary };
};

/**
 * Reads one chunk file: header, limits, frame, digest, dictionary. The columns are checked when they are decoded.
 * @throws AppError `trace/truncated-chunk`, `trace/corrupt-chunk`, `trace/unsupported-version`, `trace/too-large`
 */
export const openChunk = (bytes: Uint8Array): OpenChunk => {
  const length = chunkBytes(bytes);
  if (bytes.length !== length) {
    throw new AppError('trace/corrupt-chunk', `${bytes.length - length} bytes follow the chunk`);
  }
  const { header } = readHeader(bytes);
  const body = inflate(bytes.subarray(HEADER_BYTES), bodyBytesOf(header));
  if (chunkDigest(header, body) !== header.digest) {
    throw new AppError('trace/corrupt-chunk', 'the chunk does not meet its digest', { sequence: header.sequence });
  }
  return openEncoded({ header, body });
};
