import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import { type Batch, singleCase } from './batch.js';
import { comparedFlags, type Difference, differences } from './compare.js';
import type { Outcome } from './native-host.js';
import { type PlacedRegion, type Region, readsDefinedFlagsOnly } from './region.js';

export type RunBatch = (batch: Batch) => Outcome[];

export interface Mismatch {
  readonly seed: number;
  readonly batch: Batch;
  readonly caseNumber: number;
  readonly found: readonly Difference[];
}

/** A region in Intel syntax, one line an instruction, with addresses and bytes. */
export function disassembleRegion(region: Region, placed: PlacedRegion, bits: 64): string {
  const formatter = new Formatter(FormatterSyntax.Intel);
  formatter.spaceAfterOperandSeparator = true;
  const lines = region.flatMap((step, i) => {
    if (step.kind === 'label') return [];
    const address = placed.addresses[i] ?? 0;
    const bytes = placed.bytes.subarray(address - placed.address, address - placed.address + step.bytes.length);
    const decoder = new Decoder(bits, bytes, DecoderOptions.None);
    decoder.ip = BigInt(address);
    const instruction = decoder.decode();
    const text = instruction.length === bytes.length ? formatter.format(instruction) : '(bytes that are not executed)';
    instruction.free();
    decoder.free();
    return [`  ${address.toString(16)}  ${Buffer.from(bytes).toString('hex').padEnd(24)} ${text}`];
  });
  formatter.free();
  return lines.join('\n');
}

const MAX_ROUNDS = 6;

/** Drops instructions as long as the case still fails; what remains reads defined flags only. */
export function minimise(mismatch: Mismatch, native: RunBatch, emulated: RunBatch): Mismatch {
  let best = mismatch;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const before = lengthOf(best);
    for (let i = 0; i < lengthOf(best); i++) {
      const smaller = without(best, i, native, emulated);
      if (smaller) {
        best = smaller;
        i--;
      }
    }
    if (lengthOf(best) === before) break;
  }
  return best;
}

const regionOf = ({ batch, caseNumber }: Mismatch): { region: Region; placed: PlacedRegion } => {
  const found = batch.regions[batch.cases[caseNumber]?.region ?? 0];
  if (!found) throw new Error('a mismatch refers to a region its batch does not have');
  return found;
};

const lengthOf = (mismatch: Mismatch): number => regionOf(mismatch).region.length;

function without(mismatch: Mismatch, index: number, native: RunBatch, emulated: RunBatch): Mismatch | undefined {
  const { region, placed } = regionOf(mismatch);
  const step = region[index];
  if (step?.kind !== 'instruction' || step.keep) return undefined;
  const smaller = region.filter((_, i) => i !== index);
  const state = mismatch.batch.cases[mismatch.caseNumber]?.state;
  if (!state || !readsDefinedFlagsOnly(smaller)) return undefined;
  try {
    const batch = singleCase(mismatch.batch, smaller, state, placed.address);
    const found = compareBatch(batch, native(batch), emulated(batch))[0]?.found;
    return found ? { seed: mismatch.seed, batch, caseNumber: 0, found } : undefined;
  } catch {
    // A smaller region may break the machinery itself; then it proves nothing.
    return undefined;
  }
}

/** The cases of a batch that differ. */
export function compareBatch(
  batch: Batch,
  native: readonly Outcome[],
  emulated: readonly Outcome[],
): { caseNumber: number; found: Difference[] }[] {
  return batch.cases.flatMap((testCase, caseNumber) => {
    const placed = batch.regions[testCase.region];
    const [left, right] = [native[caseNumber], emulated[caseNumber]];
    if (!placed || !left || !right) throw new Error('a batch has fewer outcomes than cases');
    const found = differences(left, right, () => comparedFlags(placed.region, placed.placed, left), batch.cpl);
    return found.length > 0 ? [{ caseNumber, found }] : [];
  });
}

const NAMES = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];

/** Everything needed to see and repeat a mismatch. */
export function describeMismatch(mismatch: Mismatch): string {
  const { region, placed } = regionOf(mismatch);
  const { batch, caseNumber, seed, found } = mismatch;
  const state = batch.cases[caseNumber]?.state;
  const registers = state?.gpr.map((value, i) => `${NAMES[i]}=${value.toString(16)}`).join(' ');
  return [
    `seed ${seed}, case ${caseNumber}, ${batch.bits} bits, CPL ${batch.cpl}`,
    disassembleRegion(region, placed, batch.bits),
    `  entry: ${registers} rflags=${state?.rflags.toString(16)}`,
    ...found.map(({ field, native, emulated }) => `  ${field}: native ${native}, translated ${emulated}`),
  ].join('\n');
}
