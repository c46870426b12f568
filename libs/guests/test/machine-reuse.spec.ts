import { createHash } from 'node:crypto';
import { Machine } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { openKernelImages } from '@pvtrail/kernel-images';
import { describe, expect, it } from 'vitest';
import { Guest, parseElf } from '../src/index.js';

const WORKLOAD = { nullsyscall: 0, pagefault: 1, fork: 2, timer: 5 } as const;
const FOOTPRINT = { hot: 0, mixed: 1 } as const;
const emulator = loadEmulatorKernel();
const EVENT = 0x80000000;
const ID = 0x00ffffff;

interface Wanted {
  readonly set: 'native-64' | 'native-32-pae' | 'native-32-2level' | 'xen-64';
  readonly stage: string;
  readonly workload: keyof typeof WORKLOAD;
  readonly footprint?: keyof typeof FOOTPRINT;
}

/** Runs a guest to its end: a digest of everything recorded, blocks by address and bytes, because ids depend on the machine's past. */
const traceOf = ({ set, stage, workload, footprint = 'hot' }: Wanted, machine: Machine | WebAssembly.Module) => {
  const hash = createHash('sha256');
  const guest = new Guest({
    image: parseElf(openKernelImages(set).elf(stage)),
    guestType: set === 'xen-64' ? 'xen' : 'native',
    machine,
    instructionBudget: 1e9,
    parameters: {
      ramBytes: 64 << 20,
      workload: WORKLOAD[workload],
      footprint: FOOTPRINT[footprint],
      iterations: 1,
      seed: 1,
      userCodeBytes: 49152,
      userDataBytes: 262144,
      timerPeriod: 20000,
      mixIterations: [1, 1, 1, 1, 1, 1, 1],
    },
    sink: ({ events, addresses, extras }, { blocks }) => {
      const known = blocks.map(
        ({ virt, phys, user, bytes }) => `${virt} ${phys} ${user} ${Buffer.from(bytes).toString('hex')}`,
      );
      hash.update(
        Array.from(events, (word) => (word < EVENT ? `${word & ~ID} ${known[word & ID]}` : `${word}`)).join('\n'),
      );
      for (const column of [addresses, extras]) hash.update(column);
    },
  });
  guest.boot();
  while (guest.proceed().kind !== 'exited');
  return { machine: guest.machine, digest: hash.digest('hex'), counters: guest.machine.counters };
};

describe.each<[name: string, last: Wanted]>([
  ['native, fork', { set: 'native-64', stage: 'nopv', workload: 'fork' }],
  ['native, timer mixed', { set: 'native-64', stage: 'nopv', workload: 'timer', footprint: 'mixed' }],
  [
    'native of 32 bit with PAE, timer mixed',
    { set: 'native-32-pae', stage: 'v2.6.29', workload: 'timer', footprint: 'mixed' },
  ],
  ['native of 32 bit with 2 levels, fork', { set: 'native-32-2level', stage: 'nopv', workload: 'fork' }],
  ['Xen, fork', { set: 'xen-64', stage: 'v2.6.29', workload: 'fork' }],
  ['Xen, timer mixed', { set: 'xen-64', stage: 'v2.6.29', workload: 'timer', footprint: 'mixed' }],
])('a machine that has run other guests (%s)', (_, last) => {
  const { stage } = last;
  // A 32-bit machine serves guests of either kind of page tables.
  const set = last.set === 'native-32-2level' ? 'native-32-pae' : last.set;
  const fresh = traceOf(last, emulator);

  it('runs the next one as a new machine does', () => {
    let { machine } = traceOf({ set, stage, workload: 'nullsyscall' }, emulator);
    ({ machine } = traceOf({ set, stage: 'v2.6.29', workload: 'pagefault' }, machine));
    const again = traceOf(last, machine);
    expect(again.digest).toBe(fresh.digest);
    expect(again.counters.instructions).toBe(fresh.counters.instructions);
  });

  it('translates less for one whose text it knows', () => {
    const before = fresh.machine.counters.translations;
    const again = traceOf(last, fresh.machine);
    expect(again.digest).toBe(fresh.digest);
    expect(again.counters.translations - before).toBeLessThan(before / 10);
  });

  it('is refused by a guest of another shape', () => {
    const small = new Machine({ kernel: emulator, ramBytes: 16 << 20, bits: 64, record: true });
    expect(() => traceOf(last, small)).toThrow(/does not fit/);
  });
});
