import { AppError, digestOf } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { guestIdOf, runIdOf } from './ids.js';
import { fromChunkMessage, toChunkMessage } from './message.js';

const runId = runIdOf('a run');
const guestId = guestIdOf(runId, 0, 'a guest');
const value = Uint8Array.of(0, 255, 128, 10);
const chunk = {
  runId,
  guestId,
  sequence: 3,
  instructions: 1_000_000,
  rawBytes: 700_000,
  bytes: 4,
  digest: digestOf(value),
  last: true,
};

describe('chunk messages', () => {
  it('header and bytes come back unchanged', () => {
    expect(fromChunkMessage(toChunkMessage(chunk, value))).toEqual({ chunk, value });
  });

  it('the guest is the key', () => {
    expect(toChunkMessage(chunk, value).key).toBe(guestId);
  });

  it.each([
    ['another type', { ce_type: 'RunCompleted' }, 'event/malformed'],
    ['another version', { ce_dataversion: '2' }, 'event/unknown-version'],
    ['a sequence that is no number', { sequence: '1e3' }, 'event/malformed'],
    ['a short digest', { digest: 'ab' }, 'event/malformed'],
    ['no end mark', { last: '' }, 'event/malformed'],
    ['another guest than the key', { ce_subject: guestIdOf(runId, 1, 'a guest') }, 'event/malformed'],
  ])('a header with %s is refused', (_what, headers, code) => {
    const message = toChunkMessage(chunk, value);
    const broken = { ...message, headers: { ...message.headers, ...headers } };
    expect(() => fromChunkMessage(broken)).toThrowError(AppError);
    expect(() => fromChunkMessage(broken)).toThrowError(expect.objectContaining({ code }));
  });
});
