import type { Digest } from '@pvtrail/primitives';
import { z } from 'zod';

/** Field types that several events share, in their JSON form. */

export const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** `0x` and 16 lower-case digits. */
export const address = z.string().regex(/^0x[0-9a-f]{16}$/, 'an address is 0x and 16 hexadecimal digits');

/** Bytes as lower-case hexadecimal digits without separators. */
export const hexBytes = z.string().regex(/^(?:[0-9a-f]{2})*$/, 'bytes are pairs of hexadecimal digits');

/** SHA-256. */
export const digest = z.custom<Digest>((value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value), {
  error: 'a digest has 64 hexadecimal digits',
});

export const failure = {
  /** A code of docs/errors.md. */
  code: z.string().min(1),
  message: z.string(),
};
