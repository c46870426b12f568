/** The folder of a guest's kernels below guest-kernel/images (docs/adr/004): `native-64`, `xen-32-pae`. */
export const imageSetOf = ({
  type,
  bits,
  paging,
}: {
  readonly type: string;
  readonly bits: 32 | 64;
  readonly paging: string;
}): string => (bits === 64 ? `${type}-64` : `${type}-32-${paging}`);
