import { GENERAL_REGISTERS } from '@pvtrail/x86';
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import type { Bits } from './assembler.js';
import { type Batch, singleCase } from './batch.js';
import { compared, type Difference, differences } from './compare.js';
import type { Outcome } from './native-host.js';
import { type PlacedRegion, type Region, readsDefinedFlagsOnly } from './region.js';

export type RunBatch = (batch: Batch) => Outcome[];

export interface Mismatch {
  readonly seed: number;
  /** Which batch of the seed it came from; privilege level and recording follow from it. */
  readonly mode: number;
  readonly batch: Batch;
  readonly caseNumber: number;
  /** How the case ends natively. */
  readonly vector: number;
  readonly found: readonly Difference[];
}

/** A region in Intel syntax, one line an instruction, with addresses and bytes. */
export function disassembleRegion(region: Region, placed: PlacedRegion, bits: Bits): string {
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

const isFailure = (found: readonly Difference[]): boolean => found[0]?.field === 'end';

/** A smaller case counts only when it fails alike: the same first field, and the same message of a translator that threw. */
function sameKind(found: readonly Difference[], original: readonly Difference[]): boolean {
  if (found[0]?.field.split(' ')[0] !== original[0]?.field.split(' ')[0]) return false;
  return !isFailure(found) || found[0]?.emulated === original[0]?.emulated;
}

/** Drops runs of instructions, long ones first, as long as the case still fails; what remains reads defined flags only. */
export function minimise(mismatch: Mismatch, native: RunBatch, emulated: RunBatch): Mismatch {
  let best = mismatch;
  for (let length = lengthOf(best) >> 1; length >= 1; length = length === 1 ? 0 : length >> 1) {
    for (let start = 0; start < lengthOf(best); ) {
      const smaller = without(best, start, length, native, emulated);
      if (smaller) best = smaller;
      else start += length;
    }
  }
  return best;
}

const regionOf = ({ batch, caseNumber }: Mismatch): { region: Region; placed: PlacedRegion } => {
  const found = batch.regions[batch.cases[caseNumber]?.region ?? 0];
  if (!found) throw new Error('a mismatch refers to a region its batch does not have');
  return found;
};

const lengthOf = (mismatch: Mismatch): number => regionOf(mismatch).region.length;

const definesItsLabels = (region: Region): boolean => {
  const labels = new Set(region.flatMap((step) => (step.kind === 'label' ? [step.label] : [])));
  return region.every((step) => {
    if (step.kind === 'label') return true;
    const { flow, relative } = step;
    const needed = 'label' in flow ? [flow.label] : flow.kind === 'return' ? [...flow.sites] : [];
    if (relative !== undefined && 'label' in relative.to) needed.push(relative.to.label);
    return needed.every((label) => labels.has(label));
  });
};

function without(
  mismatch: Mismatch,
  start: number,
  length: number,
  native: RunBatch,
  emulated: RunBatch,
): Mismatch | undefined {
  const { region, placed } = regionOf(mismatch);
  const [only] = region.slice(start, start + length);
  if (length === 1 && (only?.kind === 'label' || only?.keep)) return undefined;
  const smaller = region.filter((_, i) => i < start || i >= start + length);
  const state = mismatch.batch.cases[mismatch.caseNumber]?.state;
  if (!state || !definesItsLabels(smaller) || !readsDefinedFlagsOnly(smaller)) return undefined;
  const batch = singleCase(mismatch.batch, smaller, state, placed.address);
  const expected = native(batch);
  if (expected[0]?.vector !== mismatch.vector) return undefined;
  const found = compareBatch(batch, expected, emulated(batch))[0]?.found;
  return found && sameKind(found, mismatch.found) ? { ...mismatch, batch, caseNumber: 0, found } : undefined;
}

/** The cases of a batch that differ. */
export function compareBatch(
  batch: Batch,
  native: readonly Outcome[],
  emulated: readonly Outcome[],
): { caseNumber: number; vector: number; found: Difference[] }[] {
  return batch.cases.flatMap((testCase, caseNumber) => {
    const placed = batch.regions[testCase.region];
    const [left, right] = [native[caseNumber], emulated[caseNumber]];
    if (!placed || !left || !right) throw new Error('a batch has fewer outcomes than cases');
    const found = differences(left, right, () => compared(placed.region, placed.placed, left), batch.cpl);
    return found.length > 0 ? [{ caseNumber, vector: left.vector, found }] : [];
  });
}

/** Everything needed to see and repeat a mismatch. */
export function describeMismatch(mismatch: Mismatch): string {
  const { region, placed } = regionOf(mismatch);
  const { batch, caseNumber, seed, mode, found } = mismatch;
  const state = batch.cases[caseNumber]?.state;
  const registers = state?.gpr.map((value, i) => `${GENERAL_REGISTERS[64][i]}=${value.toString(16)}`).join(' ');
  return [
    `seed ${seed}, batch ${mode}, case ${caseNumber}, ${batch.bits} bits, CPL ${batch.cpl}`,
    disassembleRegion(region, placed, batch.bits),
    `  entry: ${registers} rflags=${state?.rflags.toString(16)}`,
    ...found.map(({ field, native, emulated }) => `  ${field}: native ${native}, translated ${emulated}`),
  ].join('\n');
}
