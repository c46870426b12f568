import { type Footprint, type GuestSpecInput, WORKLOADS, type Workload } from '@pvtrail/contracts';
import type { Machine } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { Guest, GuestFailedError } from '@pvtrail/guests';
import { parseVirt } from '@pvtrail/primitives';
import { patchSites, type Stage } from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import { digestOfUserMemory } from './observed-guest.js';
import { bootParametersOf, catalogueAt, imageOf, nativeContext } from './stage-image.js';
import { xenContext } from './xen-context.js';

const emulator = loadEmulatorKernel();
/** The last machine of each kind helps the next with what it translated. */
const spares = new Map<Kind, Machine>();
const FOLDERS = { native: 'native-64', xen: 'xen-64' } as const;
type Kind = keyof typeof FOLDERS;

/** Functions that run once for each system call of their kind, and once for each fault. */
const isCounted = (name: string): boolean => /^sys_/.test(name) || name === 'do_page_fault' || name === 'do_irq';

interface Task {
  readonly stage: Stage;
  readonly workload: Workload;
  readonly footprint?: Footprint;
}

const start = (kind: Kind, { stage, workload, footprint = 'hot' }: Task, counts: Map<string, number>): Guest => {
  const wanted: GuestSpecInput = {
    type: 'native',
    bits: 64,
    stage,
    workload,
    footprint,
    iterations: 1,
    seed: 7,
  };
  const names = new Map(
    catalogueAt(stage, FOLDERS[kind]).functions.map(({ name, address }) => [parseVirt(address), name]),
  );
  const guest = new Guest({
    image: imageOf(stage, FOLDERS[kind]),
    guestType: kind,
    machine: spares.get(kind) ?? emulator,
    parameters: bootParametersOf(wanted),
    instructionBudget: 1e9,
    sink: ({ events }, { blocks }) => {
      for (const event of events) {
        const name =
          event >>> 30 === 0 ? names.get(BigInt.asUintN(64, blocks[event & 0xffffff]?.virt ?? 0n) as never) : '';
        if (name && isCounted(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    },
  });
  spares.set(kind, guest.machine);
  const { records } = guest.boot();
  const context = (kind === 'xen' ? xenContext : nativeContext)(stage, guest.read);
  const patches = patchSites(context, records);
  guest.applyEdits(
    records.flatMap(({ address, bytesBefore }, index) => {
      const patch = patches[index];
      return patch === undefined || patch.outcome === 'unchanged'
        ? []
        : [{ address, before: bytesBefore, after: patch.bytesAfter }];
    }),
  );
  return guest;
};

const run = (kind: Kind, task: Task) => {
  const counts = new Map<string, number>();
  const guest = start(kind, task, counts);
  let memory = '';
  for (let progress = guest.proceed(); progress.kind !== 'exited'; progress = guest.proceed()) {
    if (progress.kind === 'workload-finished') memory = digestOfUserMemory(guest.machine, '4level');
  }
  return { memory, calls: [...counts].sort(), userInstructions: guest.machine.counters.userInstructions };
};

const expectSameWork = (task: Task): void => {
  const native = run('native', task);
  expect(native.calls.length).toBeGreaterThan(2);
  expect(run('xen', task)).toEqual(native);
};

describe('a Xen guest', () => {
  it.each(WORKLOADS)(
    'does in %s the system calls and faults of a native one and leaves the same user memory',
    (workload) => expectSameWork({ stage: 'v2.6.30', workload }),
    120_000,
  );

  it.each(['v2.6.29', 'identity', 'clobber-aware', 'callee-save-irq', 'callee-save-pte', 'direct-call'] as const)(
    'does the same at %s',
    (stage) => expectSameWork({ stage, workload: 'fork' }),
    120_000,
  );

  it.each([
    ['clobber-aware', 'pagefault'],
    ['callee-save-irq', 'ctxswitch'],
    ['v2.6.30', 'timer'],
  ] as const)(
    'does the same at %s in %s when its program evicts the kernel',
    (stage, workload) => expectSameWork({ stage, workload, footprint: 'mixed' }),
    120_000,
  );

  it('has failed when its kernel forgets to translate a frame', () => {
    const guest = start('xen', { stage: 'v2.6.30', workload: 'fork' }, new Map());
    const translator = catalogueAt('v2.6.30', FOLDERS.xen).functions.find(({ name }) => name === 'xen_make_pte');
    const address = parseVirt(translator?.address ?? '');
    const identity = Uint8Array.of(0x48, 0x89, 0xf8, 0xc3);
    guest.applyEdits([{ address, before: guest.read(address, identity.length).slice(), after: identity }]);
    const finish = (): void => {
      while (guest.proceed().kind !== 'exited');
    };
    expect(finish).toThrowError(GuestFailedError);
  }, 120_000);
});
