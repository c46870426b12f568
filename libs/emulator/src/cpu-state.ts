import { ARITHMETIC_FLAGS, arithmeticFlags, FlagOperation, flagKindCode } from './flags.js';
import { gprAddress, STATE, type StateField } from './state-layout.js';

export type SegmentName = 'cs' | 'ss' | 'ds' | 'es' | 'fs' | 'gs' | 'ldtr' | 'tr';

/** A descriptor table register: linear base and limit in bytes. */
export interface TableRegister {
  base: bigint;
  limit: number;
}

const ALWAYS_SET = 2;
const EXPLICIT = flagKindCode(FlagOperation.explicit, 64);

/** The registers of the guest's CPU: a view of the state area. Numbers of general registers: rax rcx rdx rbx rsp rbp rsi rdi r8 … r15. */
export class CpuState {
  readonly #u32: Uint32Array;
  readonly #u64: BigUint64Array;
  readonly #onPagingChange: () => void;

  constructor(memory: WebAssembly.Memory, onPagingChange: () => void) {
    this.#u32 = new Uint32Array(memory.buffer, 0, 1024);
    this.#u64 = new BigUint64Array(memory.buffer, 0, 512);
    this.#onPagingChange = onPagingChange;
  }

  /** All registers 0 but the bit of RFLAGS that is always set. */
  reset(): void {
    this.#u32.fill(0);
    this.rflags = BigInt(ALWAYS_SET);
  }

  /** A 32-bit field, or the lower half of a 64-bit one. */
  u32(field: StateField): number {
    return this.#u32[STATE[field] >>> 2] ?? 0;
  }

  setU32(field: StateField, value: number): void {
    this.#u32[STATE[field] >>> 2] = value;
  }

  /** The upper half of a 64-bit field. */
  high(field: StateField): number {
    return this.#u32[(STATE[field] >>> 2) + 1] ?? 0;
  }

  setHalves(field: StateField, low: number, high: number): void {
    this.#u32[STATE[field] >>> 2] = low;
    this.#u32[(STATE[field] >>> 2) + 1] = high;
  }

  u64(field: StateField): bigint {
    return this.#u64[STATE[field] >>> 3] ?? 0n;
  }

  setU64(field: StateField, value: bigint): void {
    this.#u64[STATE[field] >>> 3] = value;
  }

  gpr(register: number): bigint {
    return this.#u64[gprAddress(register) >>> 3] ?? 0n;
  }

  setGpr(register: number, value: bigint): void {
    this.#u64[gprAddress(register) >>> 3] = value;
  }

  gprLow(register: number): number {
    return this.#u32[gprAddress(register) >>> 2] ?? 0;
  }

  gprHigh(register: number): number {
    return this.#u32[(gprAddress(register) >>> 2) + 1] ?? 0;
  }

  setGprHalves(register: number, low: number, high: number): void {
    this.#u32[gprAddress(register) >>> 2] = low;
    this.#u32[(gprAddress(register) >>> 2) + 1] = high;
  }

  get rip(): bigint {
    return this.u64('rip');
  }

  set rip(value: bigint) {
    this.setU64('rip', value);
  }

  /** `rip` as a signed canonical address. */
  get ripNumber(): number {
    return (this.high('rip') | 0) * 2 ** 32 + this.u32('rip');
  }

  get rflags(): bigint {
    return BigInt(this.flags >>> 0);
  }

  set rflags(value: bigint) {
    this.flags = Number(value & 0xffffffffn);
  }

  /** RFLAGS; bits 63..32 are always 0. */
  get flags(): number {
    return arithmeticFlags(this.u32('flagKind'), this.u64('flagA'), this.u64('flagB')) | this.u32('systemFlags');
  }

  set flags(value: number) {
    this.setU32('flagKind', EXPLICIT);
    this.setHalves('flagA', value & ARITHMETIC_FLAGS, 0);
    this.setU32('systemFlags', (value & ~ARITHMETIC_FLAGS) | ALWAYS_SET);
  }

  get cpl(): number {
    return this.u32('cpl');
  }

  set cpl(value: number) {
    this.setU32('cpl', value);
  }

  get cr0(): bigint {
    return this.u64('cr0');
  }

  set cr0(value: bigint) {
    this.setU64('cr0', value);
    this.#onPagingChange();
  }

  get cr2(): bigint {
    return this.u64('cr2');
  }

  set cr2(value: bigint) {
    this.setU64('cr2', value);
  }

  get cr3(): bigint {
    return this.u64('cr3');
  }

  set cr3(value: bigint) {
    this.setU64('cr3', value);
    this.#onPagingChange();
  }

  get cr4(): bigint {
    return this.u64('cr4');
  }

  set cr4(value: bigint) {
    this.setU64('cr4', value);
    this.#onPagingChange();
  }

  get efer(): bigint {
    return this.u64('efer');
  }

  set efer(value: bigint) {
    this.setU64('efer', value);
    this.#onPagingChange();
  }

  get fsBase(): bigint {
    return this.u64('fsBase');
  }

  set fsBase(value: bigint) {
    this.setU64('fsBase', value);
  }

  get gsBase(): bigint {
    return this.u64('gsBase');
  }

  set gsBase(value: bigint) {
    this.setU64('gsBase', value);
  }

  get kernelGsBase(): bigint {
    return this.u64('kernelGsBase');
  }

  set kernelGsBase(value: bigint) {
    this.setU64('kernelGsBase', value);
  }

  get star(): bigint {
    return this.u64('star');
  }

  set star(value: bigint) {
    this.setU64('star', value);
  }

  get lstar(): bigint {
    return this.u64('lstar');
  }

  set lstar(value: bigint) {
    this.setU64('lstar', value);
  }

  get cstar(): bigint {
    return this.u64('cstar');
  }

  set cstar(value: bigint) {
    this.setU64('cstar', value);
  }

  get sfmask(): bigint {
    return this.u64('sfmask');
  }

  set sfmask(value: bigint) {
    this.setU64('sfmask', value);
  }

  get gdtr(): TableRegister {
    return { base: this.u64('gdtrBase'), limit: this.u32('gdtrLimit') };
  }

  set gdtr({ base, limit }: TableRegister) {
    this.setU64('gdtrBase', base);
    this.setU32('gdtrLimit', limit);
  }

  get idtr(): TableRegister {
    return { base: this.u64('idtrBase'), limit: this.u32('idtrLimit') };
  }

  set idtr({ base, limit }: TableRegister) {
    this.setU64('idtrBase', base);
    this.setU32('idtrLimit', limit);
  }

  get tr(): TableRegister {
    return { base: this.u64('trBase'), limit: this.u32('trLimit') };
  }

  set tr({ base, limit }: TableRegister) {
    this.setU64('trBase', base);
    this.setU32('trLimit', limit);
  }

  get ldtr(): TableRegister {
    return { base: this.u64('ldtrBase'), limit: this.u32('ldtrLimit') };
  }

  set ldtr({ base, limit }: TableRegister) {
    this.setU64('ldtrBase', base);
    this.setU32('ldtrLimit', limit);
  }

  selector(segment: SegmentName): number {
    return this.u32(`${segment}Selector`);
  }

  setSelector(segment: SegmentName, value: number): void {
    this.setU32(`${segment}Selector`, value & 0xffff);
  }
}
