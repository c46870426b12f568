import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { areasOf } from './areas.js';
import type { Batch } from './batch.js';

/** How a case ended. Memory holds the 8-byte words that changed, by address. */
export interface Outcome {
  readonly vector: number;
  readonly errorCode: number;
  readonly cr2: bigint;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly gpr: readonly bigint[];
  readonly changes: readonly { readonly address: bigint; readonly value: bigint }[];
  /** Why the emulated machine ended otherwise than by an exception. */
  readonly failure?: string;
}

const MAGIC = 0x31445650;
const VERSION = 1;
const CASE_BYTES = 18 * 8;
const OUTCOME_BYTES = 8 + 19 * 8 + 8;
const LARGEST_OUTPUT_BYTES = 1 << 30;

/** Why cases cannot run natively here, or undefined when they can. */
export function whyNoNativeHost(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `the host is ${process.platform} on ${process.arch}`;
  if (spawnSync('gcc', ['--version']).status !== 0) return 'there is no gcc';
  return undefined;
}

/** The host's CPU, running batches in a process of its own. */
export class NativeHost {
  readonly #folder = mkdtempSync(join(tmpdir(), 'pvtrail-native-'));
  readonly #program = join(this.#folder, 'run-cases');

  constructor() {
    const source = join(import.meta.dirname, 'native', 'run-cases.c');
    const built = spawnSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-static-pie', '-o', this.#program, source], {
      encoding: 'utf8',
    });
    if (built.status !== 0) throw new Error(`gcc cannot build ${source}: ${built.stderr}`);
  }

  run(batch: Batch): Outcome[] {
    const result = spawnSync(this.#program, {
      input: encodeBatch(batch),
      maxBuffer: LARGEST_OUTPUT_BYTES,
      timeout: 60_000,
    });
    if (result.status !== 0)
      throw new Error(`the native host ended with ${result.status ?? result.signal}: ${result.stderr}`);
    const outcomes = decodeOutcomes(result.stdout, batch.cases.length);
    return batch.bits === 64 ? outcomes : outcomes.map(lowHalvesOf);
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What 32-bit code can see of an outcome. */
function lowHalvesOf(outcome: Outcome): Outcome {
  const gpr = outcome.gpr.map((value, number) => (number < 8 ? BigInt.asUintN(32, value) : 0n));
  return { ...outcome, gpr, rip: BigInt.asUintN(32, outcome.rip) };
}

function encodeBatch(batch: Batch): Buffer {
  const areas = areasOf(batch.bits);
  const head = Buffer.alloc(32);
  [MAGIC, VERSION, batch.bits, areas.length, batch.cases.length, 0].forEach((value, i) => {
    head.writeUInt32LE(value, 4 * i);
  });
  head.writeBigUInt64LE(batch.gsBase, 24);
  const parts: Uint8Array[] = [head];
  let data = 0;
  for (const area of areas) {
    const header = Buffer.alloc(16);
    header.writeBigUInt64LE(area.address, 0);
    header.writeUInt32LE(area.pages, 8);
    header.writeUInt32LE(1 | (area.writable ? 2 : 0) | (area.executable ? 4 : 0), 12);
    parts.push(header, area.name === 'code' ? batch.code : (batch.contents[data++] ?? new Uint8Array(0)));
  }
  parts.push(encodeCases(batch));
  return Buffer.concat(parts);
}

function encodeCases(batch: Batch): Buffer {
  const bytes = Buffer.alloc(batch.cases.length * CASE_BYTES);
  batch.cases.forEach(({ region, state }, i) => {
    const at = i * CASE_BYTES;
    bytes.writeBigUInt64LE(BigInt(batch.regions[region]?.placed.address ?? 0), at);
    bytes.writeBigUInt64LE(state.rflags, at + 8);
    state.gpr.forEach((value, number) => {
      bytes.writeBigUInt64LE(value, at + 16 + 8 * number);
    });
  });
  return bytes;
}

function decodeOutcomes(bytes: Buffer, cases: number): Outcome[] {
  const outcomes: Outcome[] = [];
  let at = 0;
  for (let i = 0; i < cases; i++) {
    const words = Array.from({ length: 19 }, (_, word) => bytes.readBigUInt64LE(at + 8 + 8 * word));
    const [cr2 = 0n, rip = 0n, rflags = 0n, ...gpr] = words;
    const count = bytes.readUInt32LE(at + 8 + 19 * 8);
    const head = { vector: bytes.readUInt32LE(at), errorCode: bytes.readUInt32LE(at + 4), cr2, rip, rflags, gpr };
    at += OUTCOME_BYTES;
    const changes = Array.from({ length: count }, (_, change) => ({
      address: bytes.readBigUInt64LE(at + 16 * change),
      value: bytes.readBigUInt64LE(at + 16 * change + 8),
    }));
    at += 16 * count;
    outcomes.push({ ...head, changes });
  }
  return outcomes;
}
