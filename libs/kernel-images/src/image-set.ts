/** The folder of a guest's kernels below guest-kernel/images (docs/adr/004): `native-64`, `xen-32-pae`, `native-64-pvlocks-off`. */
export const imageSetOf = ({
  type,
  bits,
  paging,
  pvSpinlocks = true,
}: {
  readonly type: string;
  readonly bits: 32 | 64;
  readonly paging: string;
  readonly pvSpinlocks?: boolean;
}): string => `${type}-${bits === 64 ? '64' : `32-${paging}`}${pvSpinlocks ? '' : '-pvlocks-off'}`;
