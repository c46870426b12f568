import { STAGES } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { defaultFleet, FLEET_TYPES } from './default-fleet.js';

const FLEETS = FLEET_TYPES.flatMap((type) => [64 as const, 32 as const].map((bits) => ({ type, bits })));

describe.each(FLEETS)('the default fleet of $type guests of $bits bit', ({ type, bits }) => {
  const { guests } = defaultFleet(type, bits);

  it('has every stage with every workload and footprint, and native kernels without paravirt as the zero', () => {
    expect(guests).toHaveLength(STAGES.length * 8 * 2);
    expect(new Set(guests.map(({ stage, workload, footprint }) => `${stage} ${workload} ${footprint}`)).size).toBe(128);
    for (const guest of guests)
      expect([guest.stage, guest.type, guest.bits]).toEqual([
        guest.stage,
        guest.stage === 'nopv' ? 'native' : type,
        bits,
      ]);
  });

  it('has the same iterations at every stage, so that stages can be compared', () => {
    const work = Map.groupBy(guests, ({ workload, footprint }) => `${workload} ${footprint}`);
    for (const alike of work.values()) expect(new Set(alike.map(({ iterations }) => iterations)).size).toBe(1);
  });
});
