/** `e8 .. 90` as a test of bytes: `..` is any byte. */
export const matchesPattern = (pattern: string, bytes: Uint8Array): boolean => {
  const expected = pattern.split(' ');
  return (
    expected.length === bytes.length &&
    expected.every((byte, index) => byte === '..' || Number.parseInt(byte, 16) === bytes[index])
  );
};
