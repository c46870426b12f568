import { AppError, canonicalJson, digestOf } from '@pvtrail/primitives';
import type { TraceBlock } from './block-profile.js';
import type { AnalysisConfiguration } from './configuration.js';

/** The simulator between two units: everything that later counts depend on, and no counts. */
export interface Checkpoint {
  readonly measuring: boolean;
  readonly history: number;
  readonly returnTop: number;
  readonly returnCount: number;
  readonly pendingKind: number;
  readonly pendingEnd: number;
  readonly lastLine: number;
  /** the block that ran last: the branch at its end is not resolved yet */
  readonly previous: TraceBlock | undefined;
  /** caches, target buffer, return stack, gshare counters as they lie in memory */
  readonly machine: Uint8Array;
  /** text executed in the measured region: virtual page → one bit per byte */
  readonly coverage: ReadonlyMap<bigint, Uint8Array>;
}

/**
 * Little endian:
 *
 * | bytes | content |
 * |---|---|
 * | 4 | magic "PVCK" |
 * | 4 | format version |
 * | 32 | SHA-256 of the configuration's canonical JSON |
 * | 4 | length of the header |
 * | … | header: JSON of all small members and the coverage's page numbers |
 * | … | machine, then 512 bytes per page of coverage |
 */
const MAGIC = 0x4b435650;
const VERSION = 1;
const FIXED_BYTES = 44;
const COVERAGE_PAGE_BYTES = 512;

interface Header {
  readonly state: Omit<Checkpoint, 'previous' | 'machine' | 'coverage'>;
  readonly previous: {
    virt: string;
    phys: number;
    physNextPage: number;
    user: boolean;
    bits: 32 | 64;
    bytes: string;
  } | null;
  readonly machineBytes: number;
  readonly pages: readonly string[];
}

const configurationDigest = (configuration: AnalysisConfiguration): Uint8Array =>
  Buffer.from(digestOf(canonicalJson(configuration)), 'hex');

export const encodeCheckpoint = (checkpoint: Checkpoint, configuration: AnalysisConfiguration): Uint8Array => {
  const { previous, machine, coverage, ...state } = checkpoint;
  const pages = [...coverage].sort(([a], [b]) => (a < b ? -1 : 1));
  const header: Header = {
    state,
    previous:
      previous === undefined
        ? null
        : { ...previous, virt: previous.virt.toString(), bytes: Buffer.from(previous.bytes).toString('hex') },
    machineBytes: machine.length,
    pages: pages.map(([page]) => page.toString()),
  };
  const json = Buffer.from(canonicalJson(header));
  const fixed = Buffer.alloc(FIXED_BYTES);
  fixed.writeUInt32LE(MAGIC, 0);
  fixed.writeUInt32LE(VERSION, 4);
  fixed.set(configurationDigest(configuration), 8);
  fixed.writeUInt32LE(json.length, 40);
  return new Uint8Array(Buffer.concat([fixed, json, machine, ...pages.map(([, bits]) => bits)]));
};

/** @throws AppError `input/invalid` for bytes that are no checkpoint of this version and configuration */
export const decodeCheckpoint = (bytes: Uint8Array, configuration: AnalysisConfiguration): Checkpoint => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (buffer.length < FIXED_BYTES || buffer.readUInt32LE(0) !== MAGIC) throw invalid('it has no checkpoint magic');
  if (buffer.readUInt32LE(4) !== VERSION) throw invalid(`its version is ${buffer.readUInt32LE(4)}, not ${VERSION}`);
  if (!buffer.subarray(8, 40).equals(configurationDigest(configuration)))
    throw invalid('it was made with another configuration');
  const headerEnd = FIXED_BYTES + buffer.readUInt32LE(40);
  if (headerEnd > buffer.length) throw invalid('it is truncated');
  const header = parseHeader(buffer.subarray(FIXED_BYTES, headerEnd).toString());
  const machineEnd = headerEnd + header.machineBytes;
  if (machineEnd + header.pages.length * COVERAGE_PAGE_BYTES !== buffer.length) throw invalid('its length is wrong');
  const pageBits = (i: number): Uint8Array => {
    const start = machineEnd + i * COVERAGE_PAGE_BYTES;
    return new Uint8Array(buffer.subarray(start, start + COVERAGE_PAGE_BYTES));
  };
  return {
    ...header.state,
    previous:
      header.previous === null
        ? undefined
        : { ...header.previous, virt: BigInt(header.previous.virt), bytes: Buffer.from(header.previous.bytes, 'hex') },
    machine: new Uint8Array(buffer.subarray(headerEnd, machineEnd)),
    coverage: new Map(header.pages.map((page, i) => [BigInt(page), pageBits(i)])),
  };
};

const parseHeader = (json: string): Header => {
  try {
    return JSON.parse(json) as Header;
  } catch (cause) {
    throw invalid('its header is no JSON', cause);
  }
};

const invalid = (why: string, cause?: unknown): AppError =>
  new AppError('input/invalid', `this simulator cannot go on from the checkpoint: ${why}`, {}, cause);
