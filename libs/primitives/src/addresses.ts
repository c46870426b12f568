import type { Brand } from './brand.js';

const MASK64 = (1n << 64n) - 1n;

/** A guest-virtual address, 0 … 2⁶⁴−1. Hot code uses wasm i64 or lo/hi columns instead. */
export type GuestVirt = Brand<bigint, 'GuestVirt'>;
/** A guest-physical address (a machine address under Xen), 0 … 2³²−1: guests have at most 1 GiB (definitions §2). */
export type GuestPhys = Brand<number, 'GuestPhys'>;

/** Wraps as the CPU does. */
export const guestVirt = (raw: bigint): GuestVirt => (raw & MASK64) as GuestVirt;
export const guestPhys = (raw: number): GuestPhys => (raw >>> 0) as GuestPhys;

/** `0xffffffff81000040`: 16 digits, so that addresses sort as text. */
export const formatVirt = (address: bigint): string => `0x${(address & MASK64).toString(16).padStart(16, '0')}`;
export const parseVirt = (text: string): GuestVirt => guestVirt(BigInt(text));
