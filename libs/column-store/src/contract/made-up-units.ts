import { type GuestId, guestIdOf, parseGuestSpec, runIdOf } from '@pvtrail/contracts';
import { digestOf, SeededRandom } from '@pvtrail/primitives';
import type { EndedGuest, Unit } from '../port.js';
import {
  COUNTS,
  type Counts,
  FRAME_SAVES,
  type FunctionRow,
  OP_COUNTS,
  type OpRow,
  SITE_COUNTS,
  type SiteRow,
} from '../statistics.js';

/** Made-up statistics for tests of the store: seeded, so that every process makes the same. */

export const RUN = runIdOf('a run of the store tests');

export const guestIdNumber = (index: number): GuestId => guestIdOf(RUN, index, 'a guest of the store tests');

const MAX_COUNT = 1_000_000;

const countsOf = <K extends string>(random: SeededRandom, names: readonly K[]): Record<K, number> =>
  Object.fromEntries(names.map((name) => [name, random.below(MAX_COUNT)])) as Record<K, number>;

const functionRow = (random: SeededRandom, index: number): FunctionRow => ({
  function: `sys_${index}`,
  functionKind: 'c',
  mode: 'kernel',
  ...countsOf(random, ['entries', ...COUNTS, ...FRAME_SAVES]),
});

const siteRow = (random: SeededRandom, index: number): SiteRow => ({
  address: `0xffffffff8100${index.toString(16).padStart(4, '0')}`,
  function: `sys_${index % 7}`,
  op: `op.${index % 5}`,
  ...countsOf(random, SITE_COUNTS),
});

const opRow = (random: SeededRandom, index: number): OpRow => ({ op: `op.${index}`, ...countsOf(random, OP_COUNTS) });

const listOf = <T>(length: number, make: (index: number) => T): T[] =>
  Array.from({ length }, (_, index) => make(index));

/** Unit `number` of guest `index`, of two chunks, with the seed index × 1000 + number. */
export const unitOf = (index: number, number: number, last = false): Unit => {
  const random = new SeededRandom(index * 1000 + number + 1);
  const totals: Record<'kernel' | 'user', Counts> = {
    kernel: countsOf(random, COUNTS),
    user: countsOf(random, COUNTS),
  };
  return {
    guestId: guestIdNumber(index),
    unit: number,
    chunks: listOf(2, (chunk) => ({
      sequence: number * 2 + chunk,
      instructions: random.below(MAX_COUNT),
      rawBytes: random.below(MAX_COUNT),
      bytes: random.below(MAX_COUNT),
      digest: digestOf(`chunk ${index} ${number} ${chunk}`),
    })),
    statistics: {
      totals,
      perFunction: listOf(7, (row) => functionRow(random, row)),
      perSite: listOf(9, (row) => siteRow(random, row)),
      perOp: listOf(5, (row) => opRow(random, row)),
      perCause: ['in-site', 'thunk', 'callee-frame', 'spill', 'entry-frame'].map((cause) => ({
        cause,
        ...countsOf(random, ['saves', 'restores']),
      })),
      privileged: [
        { kind: 'cli', mode: 'kernel', count: random.below(MAX_COUNT) },
        { kind: 'iret', mode: 'kernel', count: random.below(MAX_COUNT) },
      ],
      events: [
        { kind: 'interrupt', number: 32, count: random.below(MAX_COUNT) },
        { kind: 'exception', number: 14, count: random.below(MAX_COUNT) },
        { kind: 'trap', number: 1, count: random.below(MAX_COUNT) },
        { kind: 'trap', number: 3, count: random.below(MAX_COUNT) },
      ],
      ledger: countsOf(random, ['saves', 'restores', 'notSaves', 'foldedSaves', 'stackMoves']),
    },
    checkpoint: Uint8Array.from({ length: 3000 }, () => random.below(256)),
    last,
  };
};

export const endedGuest = (index: number, spec: object = {}): EndedGuest => ({
  runId: RUN,
  guestId: guestIdNumber(index),
  index,
  spec: parseGuestSpec({ stage: 'v2.6.29', workload: 'fork', ...spec }),
  image: digestOf(`image ${index}`),
  state: 'finished',
  digest: digestOf(`trace ${index}`),
  instructions: 4_000_000,
  chunks: 4,
  bytes: 400_000,
  rawBytes: 3_000_000,
});
