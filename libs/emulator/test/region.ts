import { type FlagEffect, STATUS_FLAGS } from './forms.js';

/** Where control goes after a step: the label is the target of jump, branch and call, of indirect ones too; a return has the labels after its calls. */
export type Flow =
  | { readonly kind: 'next' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'return'; readonly sites: readonly number[] }
  | { readonly kind: 'jump' | 'branch' | 'call'; readonly label: number };

/** One instruction of a region, or the place of a label. */
export type Step =
  | { readonly kind: 'label'; readonly label: number }
  | {
      readonly kind: 'instruction';
      readonly bytes: readonly number[];
      /** A field filled in when the region gets its place: distance from the end of the instruction, or the address itself. */
      readonly relative?: {
        readonly at: number;
        readonly bytes: 1 | 4;
        readonly to: { readonly label: number } | { readonly address: number };
        readonly absolute?: boolean;
      };
      readonly effect: FlagEffect;
      /** The written flags may also stay as they were (a shift by an unknown count, a rep prefix). */
      readonly mayKeep: boolean;
      readonly flow: Flow;
      /** Mnemonic, operand kinds and width: the cells of the coverage table that this instruction fills. */
      readonly cells: readonly string[];
      /** Executed whenever the region reaches its end. */
      readonly certain: boolean;
      /** Removing it could make the region run for ever. */
      readonly keep: boolean;
    };

export type Instruction = Extract<Step, { kind: 'instruction' }>;

/** A region: chained blocks with one entry, the first step; it ends at an int3 or at a fault. */
export type Region = readonly Step[];

export interface PlacedRegion {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Address of each step, in the order of the steps. */
  readonly addresses: readonly number[];
}

const lengthOf = (step: Step): number => (step.kind === 'label' ? 0 : step.bytes.length);

/** Gives a region its addresses and fills in the relative fields. */
export function place(region: Region, address: number): PlacedRegion {
  const addresses: number[] = [];
  const labels = new Map<number, number>();
  let at = address;
  for (const step of region) {
    addresses.push(at);
    if (step.kind === 'label') labels.set(step.label, at);
    at += lengthOf(step);
  }
  const bytes = new Uint8Array(at - address);
  const view = new DataView(bytes.buffer);
  region.forEach((step, i) => {
    if (step.kind === 'label') return;
    const start = addresses[i] ?? 0;
    bytes.set(step.bytes, start - address);
    if (!step.relative) return;
    const { to } = step.relative;
    const target = 'label' in to ? labels.get(to.label) : to.address;
    if (target === undefined) throw new Error('a region refers to a label it does not have');
    const distance = step.relative.absolute === true ? target : target - (start + step.bytes.length);
    const field = start - address + step.relative.at;
    if (step.relative.bytes === 4) view.setInt32(field, distance, true);
    else if (distance === (distance << 24) >> 24) view.setInt8(field, distance);
    else throw new Error('a short branch of a region does not reach its target');
  });
  return { address, bytes, addresses };
}

function after(undefinedBefore: number, step: Step): number {
  if (step.kind === 'label') return undefinedBefore;
  const { writes, undefines } = step.effect;
  return (step.mayKeep ? undefinedBefore : undefinedBefore & ~writes) | undefines;
}

/** Successors of each step; a call goes to its routine, and the routine's return to the labels after the calls. */
function successorsOf(region: Region): number[][] {
  const labels = new Map<number, number>();
  region.forEach((step, i) => {
    if (step.kind === 'label') labels.set(step.label, i);
  });
  const indexOf = (label: number): number => labels.get(label) ?? 0;
  return region.map((step, i) => {
    if (step.kind === 'label') return [i + 1];
    const { flow } = step;
    if (flow.kind === 'next') return [i + 1];
    if (flow.kind === 'stop') return [];
    if (flow.kind === 'return') return flow.sites.map(indexOf);
    if (flow.kind === 'branch') return [i + 1, indexOf(flow.label)];
    return [indexOf(flow.label)];
  });
}

/** The status flags that may be undefined before each step: forward data flow over the region. */
export function undefinedFlags(region: Region): readonly number[] {
  const successors = successorsOf(region);
  const before = new Array<number>(region.length).fill(0);
  const reached = new Array<boolean>(region.length).fill(false);
  const pending = [0];
  reached[0] = true;
  for (let i = pending.pop(); i !== undefined; i = pending.pop()) {
    const step = region[i];
    if (!step) continue;
    const out = after(before[i] ?? 0, step);
    for (const next of successors[i] ?? []) {
      const merged = (before[next] ?? 0) | out;
      if (reached[next] && merged === before[next]) continue;
      before[next] = merged;
      reached[next] = true;
      pending.push(next);
    }
  }
  return before;
}

/** True when no instruction looks at a flag that its predecessors may have left undefined. */
export function readsDefinedFlagsOnly(region: Region): boolean {
  const before = undefinedFlags(region);
  return region.every(
    (step, i) => step.kind === 'label' || (step.effect.reads & (before[i] ?? 0) & STATUS_FLAGS) === 0,
  );
}
