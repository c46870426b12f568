export { formatVirt, type GuestPhys, type GuestVirt, guestPhys, guestVirt, parseVirt } from './addresses.js';
export type { Brand } from './brand.js';
export { canonicalJson, type Digest, digestOf } from './digest.js';
export { AppError, ERROR_CODES, type ErrorCode } from './errors.js';
export { fromHex, toHex } from './hex.js';
export { SeededRandom } from './random.js';
