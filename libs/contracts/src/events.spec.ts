import fs from 'node:fs';
import { AppError, canonicalJson } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { eventType, upgradePayload } from './event.js';
import { SITE_REASONS } from './events/patch-events.js';
import { EVENT_TYPES, makeEvent, parseEvent, topicOf } from './events.js';
import { guestIdOf, runIdOf } from './ids.js';
import { fromMessage, toMessage } from './message.js';
import { TOPICS } from './topics.js';

const fixture = (type: string, version: number): { envelope: unknown; payload: unknown } =>
  JSON.parse(fs.readFileSync(new URL(`../test/fixtures/${type}.v${version}.json`, import.meta.url), 'utf8'));

const runId = runIdOf('a run');
const guestId = guestIdOf(runId, 0, 'a guest');
const at = (time: string) => ({ runId, time: new Date(time) });
const completed = { runId, guests: 1, instructions: 10, chunks: 2, bytes: 30 };

const codeOf = (action: () => unknown): string | undefined => {
  try {
    action();
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
  return undefined;
};

describe('events', () => {
  const stored = EVENT_TYPES.flatMap(({ type, version }) =>
    Array.from({ length: version }, (_, index) => ({ type, version: index + 1 })),
  );

  it.each(stored)('$type version $version as stored is read in its current version', ({ type, version }) => {
    const { envelope, payload } = fixture(type, version);
    const event = parseEvent(envelope, payload);
    expect(event.type).toBe(type);
    const current = EVENT_TYPES.find((declared) => declared.type === type)?.version;
    expect(event.version).toBe(current);
    if (version === current) expect(canonicalJson(event.payload)).toBe(canonicalJson(payload));
  });

  it.each(stored)('$type version $version comes back unchanged from a message', ({ type, version }) => {
    const { envelope, payload } = fixture(type, version);
    const event = parseEvent(envelope, payload);
    expect(fromMessage(toMessage(event))).toEqual(event);
  });

  it('the id depends on the payload and not on the time', () => {
    const early = makeEvent('RunCompleted', completed, at('2026-01-01T00:00:00Z'));
    const late = makeEvent('RunCompleted', completed, at('2026-01-02T00:00:00Z'));
    const other = makeEvent('RunCompleted', { ...completed, chunks: 3 }, at('2026-01-01T00:00:00Z'));
    expect(late.id).toBe(early.id);
    expect(other.id).not.toBe(early.id);
  });

  it('an event about a guest has the guest as its subject, an event about a run the run', () => {
    const booted = { guestId, image: 'a'.repeat(64) as never, instructions: 5 };
    expect(makeEvent('GuestBooted', booted, at('2026-01-01T00:00:00Z')).subject).toBe(guestId);
    expect(makeEvent('RunCompleted', completed, at('2026-01-01T00:00:00Z')).subject).toBe(runId);
  });

  it('patch events travel on the patches topic', () => {
    expect(topicOf('CallSitesPatched')).toBe(TOPICS.patches);
  });

  it('a call site that kept its code says why, by a reason of the closed list', () => {
    expect([...SITE_REASONS].sort()).toEqual([
      'clobber-test',
      'hook-declines',
      'kept-by-stage',
      'shorter-than-5',
      'template-does-not-fit',
    ]);
    const { envelope, payload } = fixture('CallSitesPatched', 1);
    const { sites } = payload as { sites: readonly object[] };
    const kept = (reason?: string) => {
      const { target: _, ...site } = sites[0] as { target?: unknown };
      const unchanged = { ...site, outcome: 'unchanged', ...(reason === undefined ? {} : { reason }) };
      return parseEvent(envelope, { ...(payload as object), sites: [unchanged] });
    };
    for (const reason of SITE_REASONS) expect(kept(reason).type).toBe('CallSitesPatched');
    expect(codeOf(() => kept('no-time'))).toBe('event/malformed');
    expect(codeOf(() => kept())).toBe('event/malformed');
  });

  it('a version from the future is refused by its own code', () => {
    const { envelope, payload } = fixture('RunCompleted', 1);
    expect(codeOf(() => parseEvent({ ...(envelope as object), version: 99 }, payload))).toBe('event/unknown-version');
  });

  it.each([
    ['an unknown type', { type: 'GuestEaten' }, completed],
    ['a field too many', {}, { ...completed, extra: 1 }],
    ['a missing field', {}, { runId }],
    ['a count below zero', {}, { ...completed, guests: -1 }],
    ['a broken run id', { runId: 'x' }, completed],
    ['a version 0', { version: 0 }, completed],
  ])('%s is malformed', (_what, envelope, payload) => {
    const good = fixture('RunCompleted', 1).envelope as object;
    expect(codeOf(() => parseEvent({ ...good, ...envelope }, payload))).toBe('event/malformed');
  });

  it('a message whose key is not its subject is malformed', () => {
    const message = toMessage(makeEvent('RunCompleted', completed, at('2026-01-01T00:00:00Z')));
    expect(codeOf(() => fromMessage({ ...message, key: guestId }))).toBe('event/malformed');
  });

  it('a value that is not JSON is malformed', () => {
    const message = toMessage(makeEvent('RunCompleted', completed, at('2026-01-01T00:00:00Z')));
    expect(codeOf(() => fromMessage({ ...message, value: Uint8Array.of(0xff, 0x00) }))).toBe('event/malformed');
  });
});

describe('upgrades', () => {
  const addUnit = (payload: unknown): unknown => ({ ...(payload as object), unit: 'byte' });
  const renameSize = (payload: unknown): unknown => {
    const { size, ...rest } = payload as { size: number };
    return { ...rest, lengthBytes: size };
  };
  const third = eventType('Third', TOPICS.runs, z.strictObject({ lengthBytes: z.number(), unit: z.string() }), [
    addUnit,
    renameSize,
  ]);

  it('an event with two upgrades is in version 3', () => {
    expect(third.version).toBe(3);
  });

  it.each([
    [1, { size: 7 }],
    [2, { size: 7, unit: 'byte' }],
    [3, { lengthBytes: 7, unit: 'byte' }],
  ])('version %i is led through every later upgrade', (version, payload) => {
    expect(upgradePayload(third, version, payload)).toEqual({ lengthBytes: 7, unit: 'byte' });
  });
});
