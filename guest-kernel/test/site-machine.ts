import { Machine } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { Guest } from '@pvtrail/guests';
import { type GuestVirt, guestVirt, parseVirt } from '@pvtrail/primitives';
import {
  type Bits,
  type CatalogueSite,
  type MeasuredStage,
  type PatchContext,
  type Pvop,
  patchSites,
  pvopOfType,
} from '@pvtrail/pvops';
import { GENERAL_REGISTERS } from '@pvtrail/x86';
import { bootParametersOf, catalogueAt, imageOf, type NativeKernel, nativeContext } from './stage-image.js';

/** Where the kernel's tables map physical memory executable: virtual − physical address. */
const WINDOWS: Readonly<Record<Bits, bigint>> = { 32: 0xc0000000n, 64: 0xffffffff80000000n };
/** Free memory. */
const CALLEES = 0x2000000n;
const CALLEE_BYTES = 128n;
const STACK_TOP = 0x2800000n;
const STACK_POINTER = 4;
/** The first argument: eax or rdi. */
const FIRST_ARGUMENT: Readonly<Record<Bits, number>> = { 32: 0, 64: 7 };
const POISON = 0xdead0000n;
/** ud2 ends the run: control goes nowhere from it, so nothing behind it is translated. */
const UD2 = [0x0f, 0x0b];
const INVALID_OPCODE = 6;
const RET = 0xc3;

const emulator = loadEmulatorKernel();

/** mov $poison, %register for each, then ret. */
const poisoner = (bits: Bits, lost: readonly string[]): Uint8Array => {
  const code = lost.flatMap((name) => {
    const number = GENERAL_REGISTERS[bits].indexOf(name);
    const immediate = new Uint8Array(bits / 8);
    new DataView(immediate.buffer).setUint32(0, Number(POISON) + number, true);
    const prefix = bits === 64 ? [number < 8 ? 0x48 : 0x49] : [];
    return [...prefix, 0xb8 + (number & 7), ...immediate];
  });
  return Uint8Array.from([...code, RET]);
};

/** Runs single call sites of a stage's image with callees that lose all that their convention lets them lose. */
export class SiteMachine {
  readonly #guest: Guest;
  readonly #bits: Bits;
  readonly #window: bigint;
  readonly #context: PatchContext;

  /** @param losses what the callee of an op destroys */
  constructor(stage: MeasuredStage, { folder, bits, paging }: NativeKernel, losses: (pvop: Pvop) => readonly string[]) {
    this.#bits = bits;
    this.#window = WINDOWS[bits];
    const shape = { ramBytes: 64 << 20, bits, record: false, exceptionsExit: true } as const;
    this.#guest = new Guest({
      image: imageOf(stage, folder),
      machine: new Machine({ kernel: emulator, ...shape }),
      parameters: bootParametersOf({ stage, bits, paging, workload: 'mix' }),
      instructionBudget: 1e9,
    });
    const native = nativeContext(stage, this.#guest.read, folder);
    const known = new Set(Object.values(native.special));
    this.#context = {
      ...native,
      opTable: new Map(
        [...native.opTable].map(([type, own]) => {
          const callee = this.#putCallee(type, losses(pvopOfType(type, paging)));
          return [type, known.has(own) ? own : callee];
        }),
      ),
    };
    for (const { type, address } of catalogueAt(stage, folder).opTable)
      this.#putPointer(parseVirt(address), this.#calleeAt(type));
  }

  /** Names of the registers that have another value after the site, the stack pointer among them. */
  changedBy(site: CatalogueSite, patched: boolean): string[] {
    const { machine } = this.#guest;
    const address = parseVirt(site.address);
    const before = this.#guest.read(address, site.length + UD2.length).slice();
    const own = before.slice(0, site.length);
    const bytes = patched ? this.#patched(site, own) : own;
    machine.writeText(this.#physicalOf(address), Uint8Array.from([...bytes, ...UD2]));
    const values = this.#prepare(address);
    const exit = machine.run();
    machine.writeText(this.#physicalOf(address), before);
    if (exit.kind !== 'exception' || exit.vector !== INVALID_OPCODE)
      throw new Error(`${site.address}: ${JSON.stringify(exit)}`);
    return GENERAL_REGISTERS[this.#bits].filter((_name, number) => machine.cpu.gpr(number) !== values[number]);
  }

  #patched({ address, type, length, clobbers }: CatalogueSite, bytesBefore: Uint8Array): Uint8Array {
    const [patch] = patchSites(this.#context, [{ address: parseVirt(address), type, length, clobbers, bytesBefore }]);
    return patch?.bytesAfter ?? bytesBefore;
  }

  /** The first argument is a usable CR3, because natively a site may become a load of it. */
  #prepare(address: bigint): bigint[] {
    const { cpu } = this.#guest.machine;
    const values = GENERAL_REGISTERS[this.#bits].map((_name, number) => 0x1111n * BigInt(number + 1));
    values[STACK_POINTER] = this.#window + STACK_TOP;
    values[FIRST_ARGUMENT[this.#bits]] = cpu.cr3;
    for (const [number, value] of values.entries()) cpu.setGpr(number, value);
    cpu.rip = address;
    cpu.rflags = 2n;
    return values;
  }

  #calleeAt(type: number): GuestVirt {
    return guestVirt(this.#window + CALLEES + CALLEE_BYTES * BigInt(type));
  }

  #physicalOf(address: bigint): number {
    return Number(address - this.#window);
  }

  #putCallee(type: number, lost: readonly string[]): GuestVirt {
    this.#guest.machine.writeText(this.#physicalOf(this.#calleeAt(type)), poisoner(this.#bits, lost));
    return this.#calleeAt(type);
  }

  #putPointer(address: GuestVirt, target: GuestVirt): void {
    const bytes = this.#guest.read(address, this.#bits / 8);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.#bits === 64) view.setBigUint64(0, target, true);
    else view.setUint32(0, Number(target), true);
  }
}
