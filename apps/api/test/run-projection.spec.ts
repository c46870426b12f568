import {
  type AnyEvent,
  type EventTypeName,
  expandFleet,
  guestIdOf,
  type Message,
  makeEvent,
  type PayloadOf,
  parseFleetSpec,
  runIdOf,
  toMessage,
} from '@pvtrail/contracts';
import { digestOf, SeededRandom } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { RunProjection } from '../src/run-projection.js';

const fleet = parseFleetSpec({ label: 'l', guests: [{ stage: 'v2.6.30', workload: 'fork', replicas: 3 }] });
const runId = runIdOf('a run');
const guests = expandFleet(fleet).map((spec, index) => ({ guestId: guestIdOf(runId, index, spec), index, spec }));
const ids = guests.map(({ guestId }) => guestId);

let clock = 0;
const message = <T extends EventTypeName>(type: T, payload: PayloadOf<T>): Message =>
  toMessage(makeEvent(type, payload, { runId, time: new Date(1000 * clock++) }) as AnyEvent);

const requested = () => message('RunRequested', { runId, fleet, guests: ids });
const guestRequested = guests.map((guest) => message('GuestRequested', { runId, ...guest, image: digestOf('image') }));
const analysed = (state: 'finished' | 'failed') => ids.map((guestId) => message('GuestAnalysed', { guestId, state }));
const completed = () => message('RunCompleted', { runId, guests: 3, instructions: 1, chunks: 1, bytes: 1 });

const after = (messages: readonly Message[]): RunProjection => {
  const projection = new RunProjection();
  for (const each of messages) projection.apply(each);
  return projection;
};

/** Mixes two streams, each in its order. */
const interleaved = (a: readonly Message[], b: readonly Message[], random: SeededRandom): Message[] => {
  const rest = [[...a], [...b]];
  const mixed: Message[] = [];
  while (rest.some((stream) => stream.length > 0)) {
    const stream = rest[random.below(2)];
    const next = stream?.shift();
    if (next !== undefined) mixed.push(next);
  }
  return mixed;
};

describe('RunProjection', () => {
  it('has the same state in whatever order the topics come, and with repetitions', () => {
    const [runs, ofGuests] = [
      [requested(), completed()],
      [...guestRequested, ...analysed('finished')],
    ];
    const expected = after([...runs, ...ofGuests]).statuses();
    expect(expected).toMatchObject([{ state: 'completed', guests: 3, done: 3, failed: 0 }]);
    for (let seed = 1; seed <= 50; seed++) {
      const mixed = interleaved(runs, ofGuests, new SeededRandom(seed));
      expect(after(mixed).statuses(), `seed ${seed}`).toEqual(expected);
      expect(after([...ofGuests, ...mixed]).statuses(), `seed ${seed}, repeated`).toEqual(expected);
    }
  });

  it('a run that is requested again runs again, and a guest that is requested again is not done', () => {
    const before = [requested(), ...guestRequested, ...analysed('finished'), completed()];
    const projection = after([...before, requested(), guestRequested[1] as Message]);
    expect(projection.status(runId)).toMatchObject({ state: 'running', done: 2, endedAt: null });
  });

  it('counts failed guests and names them', () => {
    const projection = after([requested(), ...analysed('failed').slice(1)]);
    expect(projection.status(runId)).toMatchObject({ done: 2, failed: 2 });
    expect(projection.failedGuests(runId)).toEqual(ids.slice(1));
  });

  it('stays cancelled when guests end that were running', () => {
    const projection = after([requested(), message('RunCancelled', { runId }), ...analysed('finished')]);
    expect(projection.status(runId)).toMatchObject({ state: 'cancelled', done: 3 });
  });

  it('knows no run that was only spoken of', () => {
    expect(after(analysed('finished')).status(runId)).toBeUndefined();
    expect(after(analysed('finished')).statuses()).toEqual([]);
  });
});
