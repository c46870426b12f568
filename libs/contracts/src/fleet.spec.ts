import { AppError } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { expandFleet, parseFleetSpec, parseGuestSpec } from './fleet.js';
import { guestIdOf, runIdOf } from './ids.js';

const guest = { stage: 'v2.6.30', workload: 'fork' };

const failure = (action: () => unknown): AppError => {
  try {
    action();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

describe('guest specifications', () => {
  it('stage and workload are enough; everything else has its default', () => {
    const { caches, costs, ...rest } = parseGuestSpec(guest);
    expect(rest).toMatchObject({ type: 'native', bits: 64, paging: '4level', footprint: 'hot', seed: 1, cpu: 'intel' });
    expect(caches.l2).toEqual({ sizeBytes: 262144, ways: 8, lineBytes: 64 });
    expect(costs.l2Miss).toBe(200);
  });

  it('a parsed specification parses to itself', () => {
    const once = parseGuestSpec({ ...guest, type: 'vmi', bits: 32 });
    expect(parseGuestSpec(JSON.parse(JSON.stringify(once)))).toEqual(once);
  });

  it.each([
    ['native', 32, 'pae'],
    ['xen', 32, 'pae'],
    ['lguest', 32, '2level'],
    ['vmi', 32, '2level'],
    ['vsmp', 64, '4level'],
  ])('%s with %i bits pages %s unless told otherwise', (type, bits, paging) => {
    expect(parseGuestSpec({ ...guest, type, bits }).paging).toBe(paging);
  });

  it.each([
    [{ type: 'hyperv' }, 'input/unknown-guest', 'valid: native, xen, kvm, lguest, vmi, vsmp'],
    [{ stage: 'v2.6.31' }, 'input/unknown-stage', 'valid: nopv, v2.6.29, identity,'],
    [{ workload: 'forks' }, 'input/unknown-workload', 'valid: nullsyscall, pagefault, fork,'],
    [{ footprint: 'warm' }, 'input/invalid', 'valid: hot, mixed'],
    [{ colour: 'red' }, 'input/unknown-option', 'colour'],
    [{ bits: 16 }, 'input/invalid', 'bits must be 32 or 64'],
    [{ iterations: 0 }, 'input/invalid', 'iterations'],
    [{ seed: -1 }, 'input/invalid', 'seed'],
    [{ caches: { l2: { sizeBytes: 1000 } } }, 'input/invalid', 'power of two'],
    [{ caches: { l1i: { sizeBytes: 256, ways: 8 } } }, 'input/invalid', 'at least one set'],
    [{ type: 'lguest', bits: 64 }, 'input/unsupported-combination', 'lguest guests exist with 32 bits'],
    [{ type: 'xen', stage: 'nopv' }, 'input/unsupported-combination', 'native guests only'],
    [{ type: 'xen', ramMiB: 256 }, 'input/unsupported-combination', 'at most 128 MiB'],
    [{ paging: 'pae' }, 'input/unsupported-combination', '4level'],
    [{ bits: 32, paging: '4level' }, 'input/unsupported-combination', 'pae or 2level'],
  ])('%j is refused with %s', (change, code, text) => {
    const error = failure(() => parseGuestSpec({ ...guest, ...change }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(text);
  });

  it('all errors are named at once', () => {
    const { message } = failure(() => parseGuestSpec({ stage: 'x', workload: 'y' }));
    expect(message).toContain('unknown stage "x"');
    expect(message).toContain('unknown workload "y"');
  });
});

describe('fleets', () => {
  it('a replica is the same guest with the next seed, modulo 2³²', () => {
    const fleet = parseFleetSpec({ guests: [{ ...guest, seed: 0xffffffff, replicas: 2 }, guest] });
    expect(expandFleet(fleet).map(({ seed }) => seed)).toEqual([0xffffffff, 0, 1]);
  });

  it('a fleet of more than a million guests is refused', () => {
    const entry = { ...guest, replicas: 600_000 };
    const error = failure(() => expandFleet(parseFleetSpec({ guests: [entry, entry] })));
    expect(error.code).toBe('input/invalid');
  });

  it('an empty fleet is refused', () => {
    expect(failure(() => parseFleetSpec({ guests: [] })).code).toBe('input/invalid');
  });
});

describe('ids', () => {
  it('the order of keys does not matter, the label does', () => {
    expect(runIdOf({ a: 1, b: 2 })).toBe(runIdOf({ b: 2, a: 1 }));
    expect(runIdOf({ a: 1 }, 'again')).not.toBe(runIdOf({ a: 1 }));
  });

  it('two identical guests of a run have different ids', () => {
    const run = runIdOf('fleet');
    expect(guestIdOf(run, 0, guest)).not.toBe(guestIdOf(run, 1, guest));
  });
});
