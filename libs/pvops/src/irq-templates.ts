import { type GuestVirt, guestVirt } from '@pvtrail/primitives';
import { directTransfer } from './direct-transfer.js';
import type { PvopName } from './pvop-catalogue.js';
import type { Bits } from './registers.js';

/** Position-independent code that a guest's hook copies into a site; a call inside it is rebased to the site. */
export interface IrqTemplate {
  readonly bytes: Uint8Array;
  /** The e8 rel32 inside `bytes`, if any. */
  readonly call: { readonly offset: number; readonly target: GuestVirt } | null;
}

export type IrqTemplates = Readonly<Partial<Record<PvopName, IrqTemplate>>>;

/** The template as it must read at `address`. */
export const templateAt = ({ bytes, call }: IrqTemplate, address: GuestVirt): Uint8Array => {
  const placed = bytes.slice();
  if (call !== null)
    placed.set(directTransfer('call', guestVirt(address + BigInt(call.offset)), call.target), call.offset);
  return placed;
};

/** Little-endian 32-bit operand. */
const u32 = (value: bigint | number): readonly number[] => {
  const low = Number(BigInt.asUintN(32, BigInt(value)));
  return [low & 0xff, (low >>> 8) & 0xff, (low >>> 16) & 0xff, low >>> 24];
};

const CALL_PLACE = [0xe8, 0, 0, 0, 0] as const;
const SKIP_CALL = 5;

/**
 * Xen's direct irq ops: they act on the per-CPU vcpu_info, byte 0 pending, byte 1 mask, through %fs (32) or %gs (64). They touch
 * AH and flags only. `vcpuInfo` is its offset in the per-CPU segment, `checkEvents` takes pending events. Source: domain.md §5.2.
 */
export const xenIrqTemplates = (bits: Bits, vcpuInfo: GuestVirt, checkEvents: GuestVirt): IrqTemplates => {
  const pending = perCpuOperand(bits, vcpuInfo);
  const mask = perCpuOperand(bits, guestVirt(vcpuInfo + 1n));
  const segment = bits === 64 ? 0x65 : 0x64;
  const withCall = (code: readonly number[]): IrqTemplate => ({
    bytes: Uint8Array.from([...code, ...CALL_PLACE]),
    call: { offset: code.length, target: checkEvents },
  });
  const plain = (code: readonly number[]): IrqTemplate => ({ bytes: Uint8Array.from(code), call: null });
  // testw $0x200,%di on 64 bit; testb $2,%ah on 32 bit: the argument's interrupt flag, bit 9
  const testFlagArgument = bits === 64 ? [0x66, 0xf7, 0xc7, 0x00, 0x02] : [0xf6, 0xc4, 0x02];
  return {
    'irq.irq_disable': plain([segment, 0xc6, ...mask(0), 1]),
    'irq.irq_enable': withCall([segment, 0xc6, ...mask(0), 0, segment, 0xf6, ...pending(0), 0xff, 0x74, SKIP_CALL]),
    // testb $0xff,mask; setz %ah; addb %ah,%ah
    'irq.save_fl': plain([segment, 0xf6, ...mask(0), 0xff, 0x0f, 0x94, 0xc4, 0x00, 0xe4]),
    // test of the argument; setz mask; cmpw $1,pending; jne over the call
    'irq.restore_fl': withCall([
      ...testFlagArgument,
      ...[segment, 0x0f, 0x94, ...mask(0)],
      ...[segment, 0x66, 0x83, ...pending(7), 1],
      ...[0x75, SKIP_CALL],
    ]),
  };
};

/** ModRM (and SIB on 64 bit, where plain disp32 would be relative to rip) and the displacement, for a given reg field. */
const perCpuOperand =
  (bits: Bits, address: GuestVirt) =>
  (reg: number): readonly number[] => [
    ...(bits === 64 ? [0x04 | (reg << 3), 0x25] : [0x05 | (reg << 3)]),
    ...u32(address),
  ];

const INTERRUPTS_ENABLED = 0x200;

/** lguest's irq ops on the word `irq_enabled` that it shares with its host (domain.md §5.3). */
export const lguestIrqTemplates = (irqEnabled: GuestVirt): IrqTemplates => {
  const store = (value: number): IrqTemplate => ({
    bytes: Uint8Array.from([0xc7, 0x05, ...u32(irqEnabled), ...u32(value)]),
    call: null,
  });
  const move = (opcode: number): IrqTemplate => ({ bytes: Uint8Array.from([opcode, ...u32(irqEnabled)]), call: null });
  return {
    'irq.irq_disable': store(0),
    'irq.irq_enable': store(INTERRUPTS_ENABLED),
    'irq.restore_fl': move(0xa3),
    'irq.save_fl': move(0xa1),
  };
};
