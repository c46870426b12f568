import { fromHex } from '@pvtrail/primitives';
import type { RawColumns } from '@pvtrail/trace';
import { describe, expect, it } from 'vitest';
import { BlockDescriptions } from '../src/block-descriptions.js';
import { Simulator } from '../src/simulator.js';
import { dictionaryOf } from './dictionary-of.js';
import { kernelModule } from './kernel-module.js';
import { functionsOnly, RandomTraces } from './random-trace.js';

const BASE = 1 << 20;

const traces = (): RandomTraces => new RandomTraces(5);

/** The columns in a memory, one after another from the start. */
const placeIn = (memory: WebAssembly.Memory, columns: RawColumns): RawColumns => {
  let at = 0;
  const place = (column: Uint32Array): Uint32Array => {
    const view = new Uint32Array(memory.buffer, at, column.length);
    view.set(column);
    at += column.byteLength;
    return view;
  };
  return { events: place(columns.events), addresses: place(columns.addresses), extras: place(columns.extras) };
};

const simulator = (memory?: WebAssembly.Memory): Simulator =>
  new Simulator({
    module: kernelModule,
    descriptions: new BlockDescriptions(functionsOnly()),
    ...(memory && { memory, base: BASE }),
  });

describe('columns', () => {
  it('give the same statistics read where they are and copied, while the memory grows', () => {
    const memory = new WebAssembly.Memory({ initial: BASE / 65536 });
    const inPlace = simulator(memory);
    const copied = simulator();
    const source = traces();
    for (const [i, length] of [400, 100, 900].entries()) {
      const { dictionary, columns } = source.chunk(length, new Map(i === 0 ? [[0, 2]] : []));
      inPlace.analyse(dictionaryOf(dictionary), placeIn(memory, columns));
      copied.analyse(dictionaryOf(dictionary), columns);
    }
    expect(inPlace.takeUnit()).toEqual(copied.takeUnit());
  });

  const { dictionary, columns } = traces().chunk(200);
  const push = (column: Uint32Array, ...values: readonly number[]): Uint32Array =>
    Uint32Array.from([...column, ...values]);
  const cases: readonly (readonly [string, RawColumns])[] = [
    ['a block id that the dictionary lacks', { ...columns, events: push(columns.events, dictionary.length) }],
    ['an event of unknown kind', { ...columns, events: push(columns.events, 0xbf000000) }],
    ['an event form that does not exist', { ...columns, events: push(columns.events, 0xc0000000) }],
    ['a continuation of a block that does not repeat', { ...columns, events: Uint32Array.of(0x40000000) }],
    ['an interrupt without its frame address', { ...columns, events: push(columns.events, 0x81000020) }],
    ['a partial block that retires more than it has', { ...columns, events: push(columns.events, 0, 0x80000041) }],
    ['too few addresses', { ...columns, addresses: columns.addresses.slice(0, -1) }],
    ['too many addresses', { ...columns, addresses: push(columns.addresses, 0) }],
    ['too few extras', { ...columns, extras: columns.extras.slice(0, -1) }],
    ['too many extras', { ...columns, extras: push(columns.extras, 0) }],
  ];
  it.each(cases)('with %s are refused', (_what, broken) => {
    expect(() => simulator().analyse(dictionaryOf(dictionary), broken)).toThrow(
      expect.objectContaining({ code: 'trace/corrupt-chunk' }),
    );
  });

  it.each([
    ['no instruction', ''],
    ['more than one block', 'c3c3'],
    ['a cut instruction', '488b'],
  ])('of a block whose bytes are %s are refused', (_what, code) => {
    const block = { virt: 0xffffffff81000000n, phys: 0x1000000, physNextPage: 0, user: false, bits: 64 as const };
    const nothing = { events: new Uint32Array(), addresses: new Uint32Array(), extras: new Uint32Array() };
    expect(() => simulator().analyse(dictionaryOf([{ ...block, bytes: fromHex(code) }]), nothing)).toThrow(
      expect.objectContaining({ code: 'trace/corrupt-chunk' }),
    );
  });
});
