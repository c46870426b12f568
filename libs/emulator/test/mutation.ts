import { Mnemonic } from 'iced-x86';
import { FlagReader } from '../src/flags.js';
import { FunctionEmitter } from '../src/lift/function-emitter.js';
import { CodeWriter, Op } from '../src/wasm-writer.js';

/** What generated code is made of, as the translator writes it: an opcode, a constant, or a load or store. */
type Emission =
  | { readonly kind: 'op'; readonly opcode: number }
  | { readonly kind: 'i32'; readonly value: number }
  | { readonly kind: 'i64'; readonly value: bigint }
  | { readonly kind: 'memory'; readonly opcode: number; readonly offset: number };

/**
 * A mistake that somebody could make in the translator.
 * mnemonics: the instructions in whose translation it shows; null: all.
 * within: the method of the emitter or of the flag reader that writes the emission; 'lift': the instruction's own lifter; 'exit': the way
 * from its block to other code, where a wrong guess costs time only.
 * from, to: the emission as text (`op i64Add`, `i32 255`, `i64 63`, `memory i64Load`); `nth` counts equal ones within one instruction,
 * from 0, without it all are changed. to 'nothing' drops the whole call of `within`.
 */
export interface Mutant {
  readonly name: string;
  readonly mnemonics: readonly string[] | null;
  readonly within: string;
  readonly from: string;
  readonly to: string;
  readonly nth?: number;
}

type Method = (this: unknown, ...values: unknown[]) => unknown;
type Prototype = Record<string, Method>;

/** Methods that only pass on what their caller wants written. */
const TRANSPARENT = new Set([
  'sized',
  'constant',
  'mask',
  'keep',
  'scratch',
  'setFlagValue',
  'addToAddress',
  'effectiveAddress32',
]);

const opName = (opcode: number): string =>
  Object.entries(Op).find(([, value]) => value === opcode)?.[0] ?? String(opcode);

function textOf(emission: Emission): string {
  if (emission.kind === 'op') return `op ${opName(emission.opcode)}`;
  if (emission.kind === 'memory') return `memory ${opName(emission.opcode)}`;
  return `${emission.kind} ${emission.value}`;
}

/** A place in the translator that writes something, in the translation of one instruction. */
export interface EmissionSite {
  readonly mnemonic: string;
  readonly within: string;
  /** As in `Mutant.from`. */
  readonly text: string;
}

/** Runs `run` and lists every place that wrote something, once each, in the order of their first use. */
export function emissionSites(run: () => void): EmissionSite[] {
  const sites = new Map<string, EmissionSite>();
  const observer = new Mutation({ name: 'none', mnemonics: null, within: '', from: '', to: '' }, (site) => {
    sites.set(`${site.mnemonic}|${site.within}|${site.text}`, site);
  });
  observer.install();
  try {
    run();
  } finally {
    observer.remove();
  }
  return [...sites.values()];
}

/** Applies one mutant to the translator of this process while `run` runs; returns its result and how often the mutant struck. */
export function withMutant<T>(mutant: Mutant, run: () => T): { result: T; strikes: number } {
  const mutation = new Mutation(mutant);
  mutation.install();
  try {
    return { result: run(), strikes: mutation.strikes };
  } finally {
    mutation.remove();
  }
}

class Mutation {
  strikes = 0;
  readonly #mutant: Mutant;
  readonly #restore: (() => void)[] = [];
  readonly #where: string[] = [];
  readonly #observe: ((site: EmissionSite) => void) | undefined;
  #active = false;
  #seen = 0;
  #mnemonic = '';
  /** The instruction has done its work and is on its way to other code. */
  #leaving = false;

  constructor(mutant: Mutant, observe?: (site: EmissionSite) => void) {
    this.#mutant = mutant;
    this.#observe = observe;
  }

  install(): void {
    for (const prototype of [FunctionEmitter.prototype, FlagReader.prototype] as unknown as Prototype[])
      this.#watch(prototype);
    const writer = CodeWriter.prototype as unknown as Prototype;
    this.#replace(writer, 'op', (original, self, [opcode]) =>
      this.#emit(original, self, { kind: 'op', opcode: opcode as number }),
    );
    this.#replace(writer, 'i32', (original, self, [value]) =>
      this.#emit(original, self, { kind: 'i32', value: value as number }),
    );
    this.#replace(writer, 'i64', (original, self, [value]) =>
      this.#emit(original, self, { kind: 'i64', value: value as bigint }),
    );
    this.#replace(writer, 'memory', (original, self, [opcode, offset]) =>
      this.#emit(original, self, { kind: 'memory', opcode: opcode as number, offset: offset as number }),
    );
  }

  remove(): void {
    for (const restore of this.#restore.reverse()) restore();
  }

  #replace(
    prototype: Prototype,
    name: string,
    call: (original: Method, self: unknown, values: unknown[]) => unknown,
  ): void {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
    const original = descriptor?.value as Method | undefined;
    if (!descriptor || typeof original !== 'function') return;
    Object.defineProperty(prototype, name, {
      ...descriptor,
      value(this: unknown, ...values: unknown[]) {
        return call(original, this, values);
      },
    });
    this.#restore.push(() => Object.defineProperty(prototype, name, descriptor));
  }

  /** Keeps track of the instruction and of the method that are being written. */
  #watch(prototype: Prototype): void {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name === 'constructor' || TRANSPARENT.has(name)) continue;
      this.#replace(prototype, name, (original, self, values) => {
        if (name === 'beginInstruction') this.#begin(values[0] as { mnemonic: Mnemonic });
        if (name === 'prepareExit') this.#leaving = true;
        if (this.#active && name === this.#mutant.within && this.#mutant.to === 'nothing') {
          this.strikes++;
          return undefined;
        }
        this.#where.push(name);
        try {
          return original.apply(self, values);
        } finally {
          this.#where.pop();
        }
      });
    }
  }

  #begin({ mnemonic }: { mnemonic: Mnemonic }): void {
    this.#seen = 0;
    this.#leaving = false;
    this.#mnemonic = Mnemonic[mnemonic]?.toLowerCase() ?? '';
    this.#active = this.#mutant.mnemonics === null || this.#mutant.mnemonics.includes(this.#mnemonic);
  }

  #emit(original: Method, self: unknown, emission: Emission): unknown {
    const changed = this.#change(emission);
    if (changed.kind === 'op') return original.call(self, changed.opcode);
    if (changed.kind === 'memory') return original.call(self, changed.opcode, changed.offset);
    return original.call(self, changed.value);
  }

  #change(emission: Emission): Emission {
    const { within, from, to, nth } = this.#mutant;
    const place = this.#where.at(-1) ?? (this.#leaving ? 'exit' : 'lift');
    this.#observe?.({ mnemonic: this.#mnemonic, within: place, text: textOf(emission) });
    if (!this.#active || place !== within) return emission;
    const matches = from === `${emission.kind} *` || textOf(emission) === from;
    if (!matches) return emission;
    const seen = this.#seen++;
    if (nth !== undefined && seen !== nth) return emission;
    this.strikes++;
    return replacement(emission, to);
  }
}

/** `to` is an emission of the same kind; `i32 +1` and `memory +1` change the constant or the offset by 1. */
function replacement(emission: Emission, to: string): Emission {
  const [, text = ''] = to.split(' ');
  const relative = text.startsWith('+');
  const opcode = (Op as Readonly<Record<string, number>>)[text] ?? 0;
  switch (emission.kind) {
    case 'op':
      return { kind: 'op', opcode };
    case 'i32':
      return { kind: 'i32', value: relative ? emission.value + Number(text) : Number(text) };
    case 'i64':
      return { kind: 'i64', value: relative ? emission.value + BigInt(text) : BigInt(text) };
    case 'memory':
      return relative ? { ...emission, offset: emission.offset + Number(text) } : { ...emission, opcode };
  }
}
