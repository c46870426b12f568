import { AppError, type GuestVirt, guestVirt } from '@pvtrail/primitives';
import type { CallSite } from '@pvtrail/pvops';

/** Reads `length` bytes of guest text or data at a kernel virtual address. */
export type ReadKernel = (address: GuestVirt, length: number) => Uint8Array;

/** Record layout of 2.6.29 … 4.19 (domain.md §2.3): pointer, u8 type, u8 length, u16 clobbers, aligned to the pointer. */
const LAYOUT = {
  64: { pointerBytes: 8, usedBytes: 12, stride: 16 },
  32: { pointerBytes: 4, usedBytes: 8, stride: 8 },
} as const;

/** The period's driver copies a site into a buffer of this size (domain.md §2.3). */
const MAX_SITE_BYTES = 254;

/**
 * Iterates the records from start to end as the kernel does; the last may lack its tail padding.
 * @throws AppError `image/corrupt` when a record lies outside of the image or a site is longer than 254 bytes
 */
export const readCallSiteRecords = (bits: 32 | 64, start: GuestVirt, end: GuestVirt, read: ReadKernel): CallSite[] => {
  const { pointerBytes, usedBytes, stride } = LAYOUT[bits];
  const section = read(start, Number(end - start));
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  const records: CallSite[] = [];
  for (let at = 0; at + usedBytes <= section.length; at += stride) {
    const address = guestVirt(bits === 64 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true)));
    const length = view.getUint8(at + pointerBytes + 1);
    if (length === 0 || length > MAX_SITE_BYTES) {
      throw new AppError(
        'image/corrupt',
        `the call site record at offset ${at} names a site of ${length} bytes; 1 to ${MAX_SITE_BYTES} are possible`,
      );
    }
    records.push({
      address,
      type: view.getUint8(at + pointerBytes),
      length,
      clobbers: view.getUint16(at + pointerBytes + 2, true),
      bytesBefore: read(address, length).slice(),
    });
  }
  return records;
};
