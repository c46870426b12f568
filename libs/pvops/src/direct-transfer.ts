import type { GuestVirt } from '@pvtrail/primitives';

export const DIRECT_TRANSFER_BYTES = 5;
const OPCODE = { call: 0xe8, jump: 0xe9 } as const;

/**
 * e8/e9 rel32 at `address`. A displacement that does not fit is cut to 32 bits without a check, as the period did
 * (domain.md §3.3; Intel SDM vol. 2, CALL, JMP).
 */
export const directTransfer = (kind: 'call' | 'jump', address: GuestVirt, target: GuestVirt): Uint8Array => {
  const bytes = new Uint8Array(DIRECT_TRANSFER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, OPCODE[kind]);
  view.setUint32(1, Number(BigInt.asUintN(32, target - address - BigInt(DIRECT_TRANSFER_BYTES))), true);
  return bytes;
};
