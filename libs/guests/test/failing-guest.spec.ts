import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { openKernelImages } from '@pvtrail/kernel-images';
import { formatVirt, parseVirt } from '@pvtrail/primitives';
import { expect, it } from 'vitest';
import { Guest, GuestFailedError, parseElf } from '../src/index.js';

const DAMAGED = 'spin_lock_save';
/** push es: no instruction in 64-bit mode (Intel SDM vol. 2, PUSH). */
const INVALID_OPCODE = 0x06;

/** The nopv kernel with a first byte of a function, which boot calls, that begins no instruction. */
const damagedImage = () => {
  const images = openKernelImages('native-64');
  const found = images.catalogue('nopv').functions.find(({ name }) => name === DAMAGED);
  const address = parseVirt(found?.address ?? '0x0');
  const elf = parseElf(images.elf('nopv'));
  const segments = elf.segments.map((segment) => {
    const offset = Number(address - segment.virt);
    if (offset < 0 || offset >= segment.bytes.length) return segment;
    const bytes = Uint8Array.from(segment.bytes);
    bytes[offset] = INVALID_OPCODE;
    return { ...segment, bytes };
  });
  return { address, image: { ...elf, segments } };
};

const failureOf = (boot: () => unknown) => {
  try {
    boot();
  } catch (error) {
    if (error instanceof GuestFailedError) return error.failure;
    throw error;
  }
  throw new Error('the guest has not failed');
};

it('a guest that meets an invalid opcode while it boots fails with its address and bytes, what its console says, registers and last blocks', () => {
  const { address, image } = damagedImage();
  const guest = new Guest({
    image,
    machine: loadEmulatorKernel(),
    instructionBudget: 1e8,
    parameters: {
      ramBytes: 64 << 20,
      workload: 0,
      footprint: 0,
      iterations: 1,
      seed: 1,
      userCodeBytes: 49152,
      userDataBytes: 262144,
      timerPeriod: 20000,
      mixIterations: [1, 1, 1, 1, 1, 1, 1],
    },
    sink: () => {},
  });
  const failure = failureOf(() => guest.boot());
  expect(failure.code).toBe('guest/failed');
  expect(failure.message).toContain('its console says: panic: exception in the kernel');
  expect(failure.message).toContain(`its last exception was #UD, an unknown instruction, at ${formatVirt(address)}`);
  expect(failure.message).toMatch(/at the bytes 06[0-9a-f]{28}$/);
  expect(failure.registers.some((register) => register !== 0n)).toBe(true);
  expect(failure.lastBlocks).toHaveLength(16);
});
