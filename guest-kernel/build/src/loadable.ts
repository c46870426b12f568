import { AppError, type Digest, digestOf } from '@pvtrail/primitives';
import type { LoadSegment } from './elf-file.js';

/** Reads linked bytes at a virtual address. @throws AppError `patch/outside-image` */
export const readLoadable = (segments: readonly LoadSegment[], address: bigint, length: number): Uint8Array => {
  const segment = segments.find(
    (s) => address >= s.address && address + BigInt(length) <= s.address + BigInt(s.bytes.length),
  );
  if (!segment)
    throw new AppError('patch/outside-image', `0x${address.toString(16)} (${length} bytes) is not in the image`);
  const offset = Number(address - segment.address);
  return segment.bytes.subarray(offset, offset + length);
};

/** SHA-256 over the file bytes of all PT_LOAD segments in address order: what `sha256.json` holds (docs/adr/004). */
export const loadableDigest = (segments: readonly LoadSegment[]): Digest =>
  digestOf(...segments.map((segment) => segment.bytes));
