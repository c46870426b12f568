import fs from 'node:fs';
import type http from 'node:http';
import { PassThrough, Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { ProtocolError } from './protocol-error.js';

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: zlib.createGunzip,
  deflate: zlib.createInflate,
  br: zlib.createBrotliDecompress,
  zstd: zlib.createZstdDecompress,
};

const limited = (maxBytes: number): Transform => {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      if (bytes <= maxBytes) done(null, chunk);
      else done(new ProtocolError('TOO_MANY_BYTES', `a body of more than ${maxBytes} bytes`));
    },
  });
};

const asProtocolError = (error: unknown): unknown => {
  if (!(error instanceof Error) || !('code' in error) || !/^Z_|ZLIB|BROTLI|ZSTD/i.test(String(error.code)))
    return error;
  return new ProtocolError('CANNOT_DECOMPRESS', `the body cannot be decompressed: ${error.message}`);
};

/** The request stays open whatever happens, so that it can be answered. */
const copy = async (request: http.IncomingMessage, output: Writable, maxBytes: number): Promise<void> => {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  const decoder = encoding === 'identity' ? () => new PassThrough() : DECODERS[encoding];
  if (decoder === undefined) throw new ProtocolError('NOT_IMPLEMENTED', `content encoding '${encoding}'`);
  const source = Readable.from(request.iterator({ destroyOnReturn: false }), { objectMode: false });
  try {
    await pipeline(source, decoder(), limited(maxBytes), output);
  } catch (error) {
    throw asProtocolError(error);
  }
};

/** The whole body as text. @throws ProtocolError when it is too long, damaged, or no UTF-8 */
export const readText = async (request: http.IncomingMessage, maxBytes: number): Promise<string> => {
  const chunks: Buffer[] = [];
  const output = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk);
      done();
    },
  });
  await copy(request, output, maxBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    const hint = 'a statement with binary rows in it; send it as ?query= and the rows as the body';
    throw new ProtocolError('NOT_IMPLEMENTED', hint);
  }
};

/** Writes the whole body to a new file. @returns its bytes. @throws ProtocolError when it is too long or damaged */
export const writeBody = async (request: http.IncomingMessage, file: string, maxBytes: number): Promise<number> => {
  const output = fs.createWriteStream(file, { flags: 'wx', mode: 0o600 });
  await copy(request, output, maxBytes);
  return output.bytesWritten;
};
