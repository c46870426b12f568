export {
  chunkDigest,
  type EncodedChunk,
  type OpenChunk,
  openChunk,
  openEncoded,
  sealChunk,
  splitChunks,
} from './chunk.js';
export { DECODER_WORK_BYTES, type DecoderOptions, TraceDecoder } from './decoder.js';
export { decodeReference } from './decoder-reference.js';
export { BLOCK_FLAGS, ChunkDictionary, type DictionaryColumns } from './dictionary.js';
export { ENCODER_WORK_BYTES, type EncoderOptions, TraceEncoder } from './encoder.js';
export { ReferenceEncoder } from './encoder-reference.js';
export { type ChunkHeader, FORMAT_VERSION, HEADER_BYTES, readHeader } from './header.js';
export { CHUNK_LIMITS, type ChunkLimits } from './limits.js';
export {
  CONTINUATION_BIT,
  EVENT_BIT,
  EVENT_KINDS,
  eventOf,
  hasExtra,
  isBlockEvent,
  isEvent,
  kindOf,
  PAYLOAD_MASK,
  payloadOf,
  type RawBlock,
  type RawColumns,
} from './raw-columns.js';
export { TRAP_KINDS, type TrapKind, trapKindOf } from './trap-kinds.js';
export { type Decode, TraceVerifier, type VerifiedTrace, verifyChunk, verifySequence } from './verify.js';
