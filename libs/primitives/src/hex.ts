import { AppError } from './errors.js';

/** Lower-case digits without separators: `ff1425`. */
export const toHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

/** Reads `ff1425` or `ff 14 25`. @throws AppError `input/invalid-hex` */
export const fromHex = (text: string): Uint8Array => {
  const digits = text.replace(/\s+/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    throw new AppError('input/invalid-hex', `'${text.slice(0, 40)}' is not a sequence of hexadecimal byte pairs`);
  }
  return Uint8Array.from(Buffer.from(digits, 'hex'));
};
