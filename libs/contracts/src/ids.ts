import { type Brand, canonicalJson, digestOf } from '@pvtrail/primitives';
import { z } from 'zod';

/** 32 hexadecimal digits: a hash of what the run computes, plus its label. */
export type RunId = Brand<string, 'RunId'>;
/** 32 hexadecimal digits: a hash of the run and of the guest's place and inputs in it. */
export type GuestId = Brand<string, 'GuestId'>;

const ID = /^[0-9a-f]{32}$/;

export const runIdSchema = z
  .custom<RunId>((value) => typeof value === 'string' && ID.test(value), {
    error: 'a run id has 32 hexadecimal digits',
  })
  .meta({ type: 'string', pattern: ID.source });
export const guestIdSchema = z
  .custom<GuestId>((value) => typeof value === 'string' && ID.test(value), {
    error: 'a guest id has 32 hexadecimal digits',
  })
  .meta({ type: 'string', pattern: ID.source });

const shortHash = (value: unknown): string => digestOf(canonicalJson(value)).slice(0, 32);

/**
 * The id of a run: equal inputs give equal ids, so that the same command resumes or shows the same run.
 * @param inputs everything the result depends on: the expanded fleet, image digests, patch set hashes, configuration
 * @param label sets apart runs that compute the same; '' is no label
 */
export const runIdOf = (inputs: unknown, label = ''): RunId => shortHash({ inputs, label }) as RunId;

/**
 * The id of a guest in its run. Two identical guests of a fleet differ by their index only.
 * @param index place in the expanded fleet, from 0
 * @param inputs everything the guest's trace depends on
 */
export const guestIdOf = (run: RunId, index: number, inputs: unknown): GuestId =>
  shortHash({ run, index, inputs }) as GuestId;
