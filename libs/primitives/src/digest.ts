import { createHash } from 'node:crypto';
import type { Brand } from './brand.js';

/** SHA-256 in lower-case hex, 64 digits. */
export type Digest = Brand<string, 'Digest'>;

export const digestOf = (...parts: readonly (Uint8Array | string)[]): Digest => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex') as Digest;
};

/** JSON with sorted keys and no white space: equal values give equal text. bigint is written as a decimal string. */
export const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return member.toString();
    if (member === null || typeof member !== 'object' || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
