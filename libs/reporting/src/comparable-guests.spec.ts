import { type GuestId, type GuestSpecInput, parseGuestSpec } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { groupsOfEqualWork, pairedGuests } from './comparable-guests.js';

const guest = (id: string, spec: Partial<GuestSpecInput> = {}) => ({
  guestId: id as GuestId,
  spec: parseGuestSpec({ stage: 'nopv', workload: 'mix', ...spec }),
});

const described = (guests: readonly ReturnType<typeof guest>[]) =>
  groupsOfEqualWork(guests).map(({ setting, guests: alike }) => [setting, ...alike.map(({ guestId }) => guestId)]);

describe('guests of equal work', () => {
  it('differ in stage, type and costs only', () => {
    const guests = [
      guest('a'),
      guest('b', { stage: 'v2.6.29', costs: { l2Miss: 300 } }),
      guest('c', { stage: 'v2.6.29', type: 'xen' }),
    ];
    expect(described(guests)).toEqual([['', 'a', 'b', 'c']]);
  });

  it.each<[string, Partial<GuestSpecInput>]>([
    ['iterations=5', { iterations: 5 }],
    ['seed=2', { seed: 2 }],
    ['pvSpinlocks=false', { pvSpinlocks: false }],
    ['timerPeriod=1000', { timerPeriod: 1000 }],
    ['iterations=5 seed=2', { iterations: 5, seed: 2 }],
  ])('are told from those with %s', (setting, other) => {
    const settings = described([guest('a'), guest('b', { stage: 'v2.6.29', ...other })]).map(([text]) => text);
    expect(settings[1]).toBe(setting);
    expect(settings[0]).not.toBe('');
  });

  it('need no setting beside those of another workload', () => {
    const guests = [guest('a'), guest('b', { workload: 'fork', iterations: 9 }), guest('c', { footprint: 'mixed' })];
    expect(described(guests)).toEqual([
      ['', 'a'],
      ['', 'b'],
      ['', 'c'],
    ]);
  });

  it('are there once, though two runs have them in common', () => {
    expect(described([guest('of run 1'), guest('of run 2')])).toEqual([['', 'of run 1']]);
  });
});

describe('guests of two stages', () => {
  it('are paired with those that did the same work as guests of the same type', () => {
    const guests = [
      guest('a', { stage: 'v2.6.29' }),
      guest('b', { stage: 'v2.6.30' }),
      guest('other scale', { stage: 'v2.6.29', iterations: 5 }),
      guest('other type', { stage: 'v2.6.30', type: 'xen' }),
      guest('other stage', { stage: 'identity' }),
    ];
    expect(pairedGuests(guests, ['v2.6.29', 'v2.6.30']).map(({ guestId }) => guestId)).toEqual(['a', 'b']);
  });
});
