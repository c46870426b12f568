import { Machine } from '@pvtrail/emulator';
import { loadEmulatorKernel } from '@pvtrail/emulator/node';
import { Guest } from '@pvtrail/guests';
import { type GuestVirt, guestVirt, parseVirt } from '@pvtrail/primitives';
import {
  type CatalogueSite,
  type MeasuredStage,
  type PatchContext,
  type Pvop,
  patchSites,
  pvopOfType,
} from '@pvtrail/pvops';
import { bootParametersOf, catalogueAt, imageOf, nativeContext } from './stage-image.js';

export const REGISTERS = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

/** Free memory that the kernel's window maps executable: virtual 0xffffffff80000000 + physical. */
const WINDOW = 0xffffffff80000000n;
const CALLEES = WINDOW + 0x2000000n;
const CALLEE_BYTES = 128n;
const STACK_TOP = 0x2800000n;
const RSP = 4;
const RDI = 7;
const POISON = 0xdead00000000n;
/** ud2 ends the run: control goes nowhere from it, so nothing behind it is translated. */
const UD2 = [0x0f, 0x0b];
const INVALID_OPCODE = 6;
const RET = 0xc3;

const emulator = loadEmulatorKernel();
const calleeAt = (type: number): GuestVirt => guestVirt(CALLEES + CALLEE_BYTES * BigInt(type));
const physicalOf = (address: bigint): number => Number(address - WINDOW);

/** movabs $poison, %register for each, then ret. */
const poisoner = (lost: readonly string[]): Uint8Array => {
  const code = lost.flatMap((name) => {
    const number = REGISTERS.indexOf(name);
    const immediate = new Uint8Array(8);
    new DataView(immediate.buffer).setBigUint64(0, POISON + BigInt(number), true);
    return [number < 8 ? 0x48 : 0x49, 0xb8 + (number & 7), ...immediate];
  });
  return Uint8Array.from([...code, RET]);
};

/** Runs single call sites of a stage's image with callees that lose all that their convention lets them lose. */
export class SiteMachine {
  readonly #guest: Guest;
  readonly #context: PatchContext;

  /** @param losses what the callee of an op destroys */
  constructor(stage: MeasuredStage, losses: (pvop: Pvop) => readonly string[]) {
    const shape = { ramBytes: 64 << 20, bits: 64, record: false, exceptionsExit: true } as const;
    this.#guest = new Guest({
      image: imageOf(stage),
      machine: new Machine({ kernel: emulator, ...shape }),
      parameters: bootParametersOf({ stage, workload: 'mix' }),
      instructionBudget: 1e9,
    });
    const native = nativeContext(stage, this.#guest.read);
    const known = new Set(Object.values(native.special));
    this.#context = {
      ...native,
      opTable: new Map(
        [...native.opTable].map(([type, own]) => {
          const callee = this.#putCallee(type, losses(pvopOfType(type, '4level')));
          return [type, known.has(own) ? own : callee];
        }),
      ),
    };
    for (const { type, address } of catalogueAt(stage).opTable) this.#putPointer(parseVirt(address), calleeAt(type));
  }

  /** Names of the registers that have another value after the site, the stack pointer among them. */
  changedBy(site: CatalogueSite, patched: boolean): string[] {
    const { machine } = this.#guest;
    const address = parseVirt(site.address);
    const before = this.#guest.read(address, site.length + UD2.length).slice();
    const own = before.slice(0, site.length);
    const bytes = patched ? this.#patched(site, own) : own;
    machine.writeText(physicalOf(address), Uint8Array.from([...bytes, ...UD2]));
    const values = this.#prepare(address);
    const exit = machine.run();
    machine.writeText(physicalOf(address), before);
    if (exit.kind !== 'exception' || exit.vector !== INVALID_OPCODE)
      throw new Error(`${site.address}: ${JSON.stringify(exit)}`);
    return REGISTERS.filter((_name, number) => machine.cpu.gpr(number) !== values[number]);
  }

  #patched({ address, type, length, clobbers }: CatalogueSite, bytesBefore: Uint8Array): Uint8Array {
    const [patch] = patchSites(this.#context, [{ address: parseVirt(address), type, length, clobbers, bytesBefore }]);
    return patch?.bytesAfter ?? bytesBefore;
  }

  /** RDI is a usable CR3, because natively a site may become a load of it. */
  #prepare(address: bigint): bigint[] {
    const { cpu } = this.#guest.machine;
    const values = REGISTERS.map((_name, number) => 0x1111n * BigInt(number + 1));
    values[RSP] = WINDOW + STACK_TOP;
    values[RDI] = cpu.cr3;
    for (const [number, value] of values.entries()) cpu.setGpr(number, value);
    cpu.rip = address;
    cpu.rflags = 2n;
    return values;
  }

  #putCallee(type: number, lost: readonly string[]): GuestVirt {
    this.#guest.machine.writeText(physicalOf(calleeAt(type)), poisoner(lost));
    return calleeAt(type);
  }

  #putPointer(address: GuestVirt, target: GuestVirt): void {
    const bytes = this.#guest.read(address, 8);
    new DataView(bytes.buffer, bytes.byteOffset, 8).setBigUint64(0, target, true);
  }
}
