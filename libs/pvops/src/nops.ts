import { AppError, fromHex } from '@pvtrail/primitives';
import type { Bits } from './registers.js';

export type NopTable = 'generic' | 'k8' | 'k7' | 'p6';
export type CpuFeature = 'k8' | 'k7' | 'nopl';
export interface CpuIdentity {
  readonly vendor: 'intel' | 'amd' | 'other';
  readonly features: readonly CpuFeature[];
}

/** For each length 1 … 8 the instructions that fill it (domain.md §3.5). Generic and K7 nops depend on ESI and EAX. */
const TABLES: Record<NopTable, readonly (readonly string[])[]> = {
  generic: [
    ['90'],
    ['89f6'],
    ['8d7600'],
    ['8d742600'],
    ['90', '8d742600'],
    ['8db600000000'],
    ['8db42600000000'],
    ['90', '8db42600000000'],
  ],
  k8: [
    ['90'],
    ['6690'],
    ['666690'],
    ['66666690'],
    ['666690', '6690'],
    ['666690', '666690'],
    ['66666690', '666690'],
    ['66666690', '66666690'],
  ],
  k7: [
    ['90'],
    ['8bc0'],
    ['8d0420'],
    ['8d442000'],
    ['8d442000', '90'],
    ['8d8000000000'],
    ['8d040500000000'],
    ['8d040500000000', '90'],
  ],
  p6: [
    ['90'],
    ['6690'],
    ['0f1f00'],
    ['0f1f4000'],
    ['0f1f440000'],
    ['660f1f440000'],
    ['0f1f8000000000'],
    ['0f1f840000000000'],
  ],
};
const LONGEST = 8;

/** The table that the kernel takes on this CPU: Intel with NOPL gets P6 on 64 bit, everybody else K8 (domain.md §3.5). */
export const chooseNopTable = (bits: Bits, cpu: CpuIdentity): NopTable => {
  const has = (feature: CpuFeature) => cpu.features.includes(feature);
  if (bits === 64) return cpu.vendor === 'intel' && has('nopl') ? 'p6' : 'k8';
  if (has('k8')) return 'k8';
  if (has('k7')) return 'k7';
  return has('nopl') ? 'p6' : 'generic';
};

/** `lengthBytes` of nops: chunks of eight, then the remainder. */
export const nops = (table: NopTable, lengthBytes: number): Uint8Array => fromHex(chunks(table, lengthBytes).join(''));

/** How many instructions `nops` makes of a gap. */
export const nopInstructions = (table: NopTable, lengthBytes: number): number => chunks(table, lengthBytes).length;

const chunks = (table: NopTable, lengthBytes: number): readonly string[] => {
  const parts: string[] = [];
  for (let left = lengthBytes; left > 0; left -= LONGEST) {
    const row = TABLES[table][Math.min(left, LONGEST) - 1];
    if (row === undefined)
      throw new AppError('patch/rule-violation', `${lengthBytes} bytes cannot be filled with nops`);
    parts.push(...row);
  }
  return parts;
};
