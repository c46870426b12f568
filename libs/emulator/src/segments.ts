import type { CpuState, SegmentName } from './cpu-state.js';
import type { Bits } from './decode.js';
import { GuestFault, lacks, Vector } from './guest-fault.js';
import type { GuestMemory } from './guest-memory.js';
import { KERNEL_READ, KERNEL_WRITE } from './mmu.js';

/** Selector registers by number, as instructions encode them. */
const SEGMENT_NAMES: readonly SegmentName[] = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

const [ES, DS, FS, GS] = [0, 3, 4, 5] as const;
const TSS_AVAILABLE = 9;
const LDT = 2;
const ACCESSED = 1n << 40n;

const bit = (descriptor: bigint, position: number): boolean => ((descriptor >> BigInt(position)) & 1n) === 1n;

// Fields of a segment descriptor as a number of 64 bits (SDM vol. 3A §3.4.5).
export const isPresent = (descriptor: bigint): boolean => bit(descriptor, 47);
export const privilegeOf = (descriptor: bigint): number => Number((descriptor >> 45n) & 3n);
export const isCode = (descriptor: bigint): boolean => bit(descriptor, 44) && bit(descriptor, 43);
export const isConforming = (descriptor: bigint): boolean => bit(descriptor, 42);
/** Code of 64-bit mode. */
export const isLong = (descriptor: bigint): boolean => bit(descriptor, 53);
const isWritableData = (descriptor: bigint): boolean =>
  bit(descriptor, 44) && !bit(descriptor, 43) && bit(descriptor, 41);
const isReadable = (descriptor: bigint): boolean =>
  bit(descriptor, 44) && (!bit(descriptor, 43) || bit(descriptor, 41));

/** Whether a descriptor is one of code that runs at a privilege level: its own, or when conforming, no lower one. */
export const isCodeOf = (descriptor: bigint, cpl: number): boolean =>
  isCode(descriptor) && (isConforming(descriptor) ? privilegeOf(descriptor) <= cpl : privilegeOf(descriptor) === cpl);

/** Whether a descriptor is one of writable data of a privilege level. */
export const isDataOf = (descriptor: bigint, cpl: number): boolean =>
  isWritableData(descriptor) && privilegeOf(descriptor) === cpl;

const baseOf = (descriptor: bigint): bigint => ((descriptor >> 16n) & 0xffffffn) | ((descriptor >> 32n) & 0xff000000n);

const limitOf = (descriptor: bigint): number => {
  const limit = Number((descriptor & 0xffffn) | ((descriptor >> 32n) & 0xf0000n));
  return bit(descriptor, 55) ? limit * 4096 + 4095 : limit;
};

const isFlat = (descriptor: bigint): boolean => baseOf(descriptor) === 0n && limitOf(descriptor) === 0xffffffff;

/** Whether a selector is one of the four null ones. */
export const isNull = (selector: number): boolean => (selector & ~3) === 0;

/** A descriptor of the GDT (or LDT) as a number of 64 bits. @throws GuestFault */
export const readDescriptor = (cpu: CpuState, memory: GuestMemory, selector: number): bigint => {
  const errorCode = selector & ~3;
  if (errorCode === 0) throw new GuestFault(Vector.generalProtection);
  return memory.read(descriptorAddress(cpu, selector), 8, KERNEL_READ);
};

const descriptorAddress = (cpu: CpuState, selector: number): bigint => {
  const { base, limit } = (selector & 4) === 0 ? cpu.gdtr : cpu.ldtr;
  if ((selector | 7) > limit) throw new GuestFault(Vector.generalProtection, selector & ~3);
  return BigInt.asUintN(64, base + BigInt(selector & ~7));
};

/** Loads selector registers. In 32-bit mode all but fs and gs must be flat: any other is refused, and so are null ones in ds and es. */
export class SegmentUnit {
  readonly #cpu: CpuState;
  readonly #memory: GuestMemory;
  readonly #bits: Bits;

  constructor(cpu: CpuState, memory: GuestMemory, bits: Bits) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.#bits = bits;
  }

  /** What a move or pop to a selector register does. @throws GuestFault, GuestStopped */
  load(register: number, selector: number): void {
    const name = SEGMENT_NAMES[register];
    if (name === undefined || name === 'cs') throw new GuestFault(Vector.undefinedOpcode);
    if (this.#bits === 64) this.#loadLong(name, selector);
    else if (name === 'ss') this.loadStack(selector, this.#cpu.cpl, Vector.generalProtection);
    else if (isNull(selector)) this.#loadNull(register, selector);
    else this.#loadData(register, selector);
  }

  #loadLong(name: SegmentName, selector: number): void {
    const cpu = this.#cpu;
    if (isNull(selector) && name === 'ss' && (cpu.cpl === 3 || (selector & 3) !== cpu.cpl)) {
      throw new GuestFault(Vector.generalProtection);
    }
    const descriptor = isNull(selector) ? 0n : readDescriptor(cpu, this.#memory, selector);
    if (!isNull(selector) && !isPresent(descriptor)) {
      throw new GuestFault(name === 'ss' ? Vector.stackFault : Vector.segmentNotPresent, selector & ~3);
    }
    cpu.setSelector(name, selector);
    if (name === 'fs') cpu.fsBase = baseOf(descriptor);
    if (name === 'gs') cpu.gsBase = baseOf(descriptor);
  }

  #loadNull(register: number, selector: number): void {
    const cpu = this.#cpu;
    if (register === ES || register === DS) throw lacks(`loads a null selector into ${SEGMENT_NAMES[register]}`);
    cpu.setSelector(register === FS ? 'fs' : 'gs', selector);
    cpu.setU64(register === FS ? 'fsBase' : 'gsBase', 0n);
    cpu.setU64(register === FS ? 'fsEnd' : 'gsEnd', 0n);
    this.#setPrivilege(register, 3);
  }

  /** SDM vol. 3A §5.6. */
  #loadData(register: number, selector: number): void {
    const cpu = this.#cpu;
    const name = SEGMENT_NAMES[register] ?? 'ds';
    const descriptor = readDescriptor(cpu, this.#memory, selector);
    const privilege = privilegeOf(descriptor);
    const anyRing = isCode(descriptor) && isConforming(descriptor);
    if (!isReadable(descriptor) || (!anyRing && privilege < Math.max(cpu.cpl, selector & 3))) {
      throw new GuestFault(Vector.generalProtection, selector & ~3);
    }
    if (!isPresent(descriptor)) throw new GuestFault(Vector.segmentNotPresent, selector & ~3);
    const growsDown = !isCode(descriptor) && bit(descriptor, 42);
    if (growsDown || !isWritableData(descriptor))
      throw lacks(`loads a segment that cannot be written or grows down into ${name}`);
    if (register !== FS && register !== GS && !isFlat(descriptor))
      throw lacks(`loads a segment that is not flat into ${name}`);
    this.#markAccessed(selector, descriptor);
    cpu.setSelector(name, selector);
    this.#setPrivilege(register, privilege);
    if (register === FS) this.#setWindow('fsBase', 'fsEnd', descriptor);
    if (register === GS) this.#setWindow('gsBase', 'gsEnd', descriptor);
  }

  #setWindow(base: 'fsBase' | 'gsBase', end: 'fsEnd' | 'gsEnd', descriptor: bigint): void {
    this.#cpu.setU64(base, baseOf(descriptor));
    this.#cpu.setU64(end, BigInt(limitOf(descriptor)) + 1n);
  }

  /** The stack segment of a privilege level in 32-bit mode; `vector` is what a wrong one raises. @throws GuestFault, GuestStopped */
  loadStack(selector: number, privilege: number, vector: number): void {
    const descriptor = this.stackDescriptor(selector, privilege, vector);
    this.#markAccessed(selector, descriptor);
    this.#cpu.setSelector('ss', selector);
  }

  /** The same, only looked at. */
  stackDescriptor(selector: number, privilege: number, vector: number): bigint {
    const errorCode = selector & ~3;
    if (isNull(selector)) throw new GuestFault(vector);
    const descriptor = this.#descriptorFor(selector, vector);
    const fits = (selector & 3) === privilege && isDataOf(descriptor, privilege);
    if (!fits) throw new GuestFault(vector, errorCode);
    if (!isPresent(descriptor)) throw new GuestFault(Vector.stackFault, errorCode);
    if (!isFlat(descriptor) || bit(descriptor, 42) || !bit(descriptor, 54))
      throw lacks('loads a stack segment that is not flat');
    return descriptor;
  }

  #descriptorFor(selector: number, vector: number): bigint {
    const { limit } = (selector & 4) === 0 ? this.#cpu.gdtr : this.#cpu.ldtr;
    if ((selector | 7) > limit) throw new GuestFault(vector, selector & ~3);
    return readDescriptor(this.#cpu, this.#memory, selector);
  }

  /** Refuses code that this machine cannot run in 32-bit mode. */
  requireFlatCode(descriptor: bigint): void {
    if (!isFlat(descriptor) || !bit(descriptor, 54))
      throw lacks('transfers to a code segment that is not flat or of 16 bits');
  }

  loadCode(selector: number, descriptor: bigint, privilege: number): void {
    this.#markAccessed(selector, descriptor);
    this.#cpu.setSelector('cs', (selector & ~3) | privilege);
    this.#cpu.cpl = privilege;
  }

  #markAccessed(selector: number, descriptor: bigint): void {
    if ((descriptor & ACCESSED) !== 0n) return;
    const at = descriptorAddress(this.#cpu, selector) + 5n;
    this.#memory.write(BigInt.asUintN(this.#bits, at), 1, ((descriptor >> 40n) & 0xffn) | 1n, KERNEL_WRITE);
  }

  #setPrivilege(register: number, privilege: number): void {
    const cpu = this.#cpu;
    const others = cpu.u32('segmentPrivileges') & ~(3 << (2 * register));
    cpu.setU32('segmentPrivileges', others | (privilege << (2 * register)));
  }

  /** On a return to an outer ring the processor empties data segments of the inner one (SDM vol. 2, IRET). */
  leaveRing(privilege: number): void {
    for (const register of [ES, DS, FS, GS]) {
      const selector = this.#cpu.selector(SEGMENT_NAMES[register] ?? 'ds');
      const own = (this.#cpu.u32('segmentPrivileges') >>> (2 * register)) & 3;
      if (!isNull(selector) && own < privilege) this.#loadNull(register, 0);
    }
  }

  /** ltr, lldt: a system descriptor, of 16 bytes in 64-bit mode. @throws GuestFault */
  loadSystem(register: 'tr' | 'ldtr', selector: number): void {
    const cpu = this.#cpu;
    if (isNull(selector)) {
      if (register === 'tr') throw new GuestFault(Vector.generalProtection);
      cpu.setSelector(register, selector);
      cpu.ldtr = { base: 0n, limit: 0 };
      return;
    }
    const low = readDescriptor(cpu, this.#memory, selector);
    const at = BigInt.asUintN(64, cpu.gdtr.base + BigInt((selector & ~7) + 8));
    const high = this.#bits === 64 ? this.#memory.read(at, 8, KERNEL_READ) : 0n;
    const type = Number((low >> 40n) & 0x1fn);
    const wanted = register === 'tr' ? TSS_AVAILABLE : LDT;
    if (type !== wanted) throw new GuestFault(Vector.generalProtection, selector & ~3);
    if (!isPresent(low)) throw new GuestFault(Vector.segmentNotPresent, selector & ~3);
    cpu.setSelector(register, selector);
    cpu[register] = { base: baseOf(low) | ((high & 0xffffffffn) << 32n), limit: limitOf(low) };
    if (register === 'tr') {
      const busyAt = BigInt.asUintN(64, cpu.gdtr.base + BigInt(selector & ~7) + 5n);
      this.#memory.write(busyAt, 1, ((low >> 40n) & 0xffn) | 2n, KERNEL_WRITE);
    }
  }
}
