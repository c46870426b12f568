export type { BootParameters } from './boot-parameters.js';
export { type ElfImage, type ElfSegment, parseElf } from './elf.js';
export {
  type BootedGuest,
  Guest,
  GuestFailedError,
  type GuestOptions,
  type GuestProgress,
  machineShapeOf,
} from './guest.js';
