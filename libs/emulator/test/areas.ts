/** The address space that every case sees, natively and emulated. Addresses are the guest's; unmapped pages surround every area. */
export interface Area {
  readonly name: 'code' | 'a' | 'b' | 'stack' | 'high' | 'read-only';
  readonly address: bigint;
  readonly pages: number;
  readonly writable: boolean;
  readonly executable: boolean;
}

export const PAGE_BYTES = 4096;
export const CODE_ADDRESS = 0x10000000;
export const CODE_PAGES = 32;
export const A_ADDRESS = 0x20000000;
export const B_ADDRESS = 0x20010000;
export const STACK_ADDRESS = 0x20020000;
/** Above 4 GiB, so that an address cut to 32 bits is noticed. */
export const HIGH_ADDRESS = 0x123450000000n;
export const GS_BASE = B_ADDRESS + 0x800;

const data = (name: Area['name'], address: bigint, pages: number, writable = true): Area => ({
  name,
  address,
  pages,
  writable,
  executable: false,
});

/** The areas of a bitness; the read-only page follows area A without a gap. */
export function areasOf(bits: 32 | 64): readonly Area[] {
  return [
    { name: 'code', address: BigInt(CODE_ADDRESS), pages: CODE_PAGES, writable: false, executable: true },
    data('a', BigInt(A_ADDRESS), 2),
    data('read-only', BigInt(A_ADDRESS + 2 * PAGE_BYTES), 1, false),
    data('b', BigInt(B_ADDRESS), 2),
    data('stack', BigInt(STACK_ADDRESS), 2),
    ...(bits === 64 ? [data('high', HIGH_ADDRESS, 2)] : []),
  ];
}
