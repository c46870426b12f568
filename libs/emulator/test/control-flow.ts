import { A_ADDRESS, B_ADDRESS, PAGE_BYTES } from './areas.js';
import type { AddressWidth, Bits, Encoded, MemoryOperand } from './assembler.js';
import { CF, CONDITIONS, conditionReads, type FlagEffect, STATUS_FLAGS, ZF } from './forms.js';
import { memoryOperand } from './memory-operands.js';
import type { Step } from './region.js';
import { DoesNotFit, NO_FLAGS, RAX, RCX, type RegionDraft, RSP, register } from './region-draft.js';

/** Writes straight code, and perhaps nested control flow, into the draft. */
export type WriteBody = (draft: RegionDraft, cards: number) => void;

/** One way to transfer control; dealt like the cards of the instructions. */
export interface ControlCard {
  readonly name: string;
  readonly write: (draft: RegionDraft, body: WriteBody) => void;
}

const ALL: FlagEffect = { reads: 0, writes: STATUS_FLAGS, undefines: 0 };
const ALL_BUT_CARRY: FlagEffect = { reads: 0, writes: STATUS_FLAGS & ~CF, undefines: 0 };

const lengthOf = (steps: readonly Step[]): number =>
  steps.reduce((sum, step) => sum + (step.kind === 'label' ? 0 : step.bytes.length), 0);

const reads = (flags: number): FlagEffect => ({ reads: flags, writes: 0, undefines: 0 });

/** jcc over a body, which may or may not run. */
function branchOver(condition: number, size: 1 | 4): ControlCard['write'] {
  return (draft, body) => {
    draft.defineFlags(conditionReads(condition));
    const label = draft.newLabel();
    const before = draft.undefinedHere;
    let inner: Step[] = [];
    draft.uncertain(() => {
      inner = draft.apart(() => body(draft, 1 + draft.random.below(3)));
    });
    const inside = draft.undefinedHere;
    draft.undefinedHere = before;
    const short = size === 1 && lengthOf(inner) < 128;
    if (size === 1 && !short) throw new DoesNotFit();
    const bytes = short ? [0x70 + condition, 0] : [0x0f, 0x80 + condition, 0, 0, 0, 0];
    const relative = { at: bytes.length - size, bytes: size, to: { label } };
    const cell = `j${CONDITIONS[condition]} ${size === 1 ? 'rel8' : 'rel32'} ${draft.bits}`;
    draft.emit({ bytes }, reads(conditionReads(condition)), [cell], { flow: { kind: 'branch', label }, relative });
    draft.steps.push(...inner);
    draft.undefinedHere = before | inside;
    draft.placeLabel(label);
  };
}

/** Widths of a counter in rcx: the mode's, and with an address-size prefix half of it. */
type CounterWidth = 16 | AddressWidth;

const counterPrefix = (draft: RegionDraft, width: CounterWidth): number[] => (width === draft.bits ? [] : [0x67]);

/** jrcxz, jecxz or jcxz over a body. */
function counterZero(addressWidth: CounterWidth): ControlCard['write'] {
  return (draft, body) => {
    const { random } = draft;
    if (random.below(2) === 0) {
      draft.needWritable(RCX);
      const values = draft.bits === 64 ? [0n, 1n, 0x100000000n, 0xffffffff00000000n] : [0n, 1n, 0x10000n, 0xffff0000n];
      draft.load(RCX, random.pick(values));
    }
    const label = draft.newLabel();
    const before = draft.undefinedHere;
    let inner: Step[] = [];
    draft.uncertain(() => {
      inner = draft.apart(() => body(draft, 1));
    });
    if (lengthOf(inner) > 127) throw new DoesNotFit();
    const bytes = [...counterPrefix(draft, addressWidth), 0xe3, 0];
    const relative = { at: bytes.length - 1, bytes: 1 as const, to: { label } };
    const inside = draft.undefinedHere;
    draft.undefinedHere = before;
    draft.emit({ bytes }, NO_FLAGS, [`jrcxz rel8 ${addressWidth}`], { flow: { kind: 'branch', label }, relative });
    draft.steps.push(...inner);
    draft.undefinedHere = before | inside;
    draft.placeLabel(label);
  };
}

/** The ends of a loop: what counts, and the condition that goes back. The counter has the mode's width. */
const LATCHES = {
  'dec ne': { count: [0xff], digit: 1, effect: ALL_BUT_CARRY, condition: 5 },
  'dec g': { count: [0xff], digit: 1, effect: ALL_BUT_CARRY, condition: 15 },
  'dec ns': { count: [0xff], digit: 1, effect: ALL_BUT_CARRY, condition: 9 },
  'sub a': { count: [0x83], digit: 5, effect: ALL, condition: 7 },
  'sub ae': { count: [0x83], digit: 5, effect: ALL, condition: 3 },
} as const;

/** A loop of 1 … 5 rounds closed by a counted jcc. */
function countedLoop(latch: keyof typeof LATCHES, size: 1 | 4): ControlCard['write'] {
  return (draft, body) => {
    const { random } = draft;
    const counter = draft.pickWritable();
    const { count, digit, effect, condition } = LATCHES[latch];
    const label = draft.newLabel();
    draft.load(counter, BigInt(1 + random.below(5)), true);
    openLoop(draft, counter, label, () => body(draft, 1 + random.below(3)));
    const immediate = digit === 5 ? { immediate: { value: 1n, bytes: 1 } } : {};
    const encoded = draft.encode(
      { opcode: count, width: draft.bits, ...immediate },
      register(digit),
      register(counter),
    );
    draft.emit(encoded, effect, [], { keep: true });
    closeLoop(
      draft,
      label,
      size,
      size === 1 ? [0x70 + condition] : [0x0f, 0x80 + condition],
      conditionReads(condition),
      `loop by ${latch} ${size === 1 ? 'rel8' : 'rel32'} ${draft.bits}`,
    );
  };
}

/** loop, loope, loopne, counting rcx, ecx or cx. */
function loopInstruction(opcode: number, name: string, addressWidth: CounterWidth): ControlCard['write'] {
  return (draft, body) => {
    draft.needWritable(RCX);
    const label = draft.newLabel();
    const narrow = addressWidth < draft.bits;
    const garbage = narrow ? BigInt(draft.random.nextU32()) << BigInt(addressWidth) : 0n;
    draft.load(RCX, garbage | BigInt(1 + draft.random.below(5)), true);
    openLoop(draft, RCX, label, () => body(draft, 1 + draft.random.below(2)));
    const flags = name === 'loop' ? 0 : ZF;
    draft.defineFlags(flags);
    const bytes = [...counterPrefix(draft, addressWidth), opcode];
    closeLoop(draft, label, 1, bytes, flags, `${name} rel8 ${addressWidth}`);
  };
}

/** Nothing is known about the flags at the head of a loop: its end jumps there too. */
function openLoop(draft: RegionDraft, counter: number, label: number, body: () => void): void {
  if (draft.locked.size > 1) throw new DoesNotFit();
  draft.locked.add(counter);
  draft.placeLabel(label);
  draft.undefinedHere = STATUS_FLAGS;
  try {
    body();
  } finally {
    draft.locked.delete(counter);
  }
}

function closeLoop(
  draft: RegionDraft,
  label: number,
  size: 1 | 4,
  opcode: readonly number[],
  flags: number,
  cell: string,
): void {
  const start = draft.steps.findIndex((step) => step.kind === 'label' && step.label === label);
  if (size === 1 && lengthOf(draft.steps.slice(start)) > 120) throw new DoesNotFit();
  const bytes = [...opcode, ...new Array<number>(size).fill(0)];
  const relative = { at: opcode.length, bytes: size, to: { label } };
  draft.emit({ bytes }, reads(flags), [cell], { flow: { kind: 'branch', label }, relative, keep: true });
}

/** Bytes between a jump and its target: never executed. */
function junk(draft: RegionDraft): void {
  const bytes = Array.from({ length: draft.random.below(7) }, () => draft.random.below(256));
  if (bytes.length > 0) draft.emit({ bytes }, NO_FLAGS, [], { flow: { kind: 'stop' }, keep: true });
}

function jumpRelative(size: 1 | 4): ControlCard['write'] {
  return (draft) => {
    const label = draft.newLabel();
    const relative = { at: 1, bytes: size, to: { label } };
    const bytes = [size === 1 ? 0xeb : 0xe9, ...new Array<number>(size).fill(0)];
    draft.emit({ bytes }, NO_FLAGS, [`jmp ${size === 1 ? 'rel8' : 'rel32'} ${draft.bits}`], {
      flow: { kind: 'jump', label },
      relative,
    });
    passJunk(draft, label);
  };
}

/** Junk between a jump and its label is unreachable: the flags there are those at the jump. */
function passJunk(draft: RegionDraft, label: number): void {
  const before = draft.undefinedHere;
  junk(draft);
  draft.undefinedHere = before;
  draft.placeLabel(label);
}

/** lea target, [rip + label], or mov target, label */
function loadLabel(draft: RegionDraft, target: number, label: number): void {
  if (draft.bits === 32) {
    const relative = { at: 1, bytes: 4, to: { label }, absolute: true } as const;
    draft.emit({ bytes: [0xb8 + target, 0, 0, 0, 0] }, NO_FLAGS, [], { relative });
    return;
  }
  const bytes = [target > 7 ? 0x4c : 0x48, 0x8d, 0x05 | ((target & 7) << 3), 0, 0, 0, 0];
  draft.emit({ bytes }, NO_FLAGS, [], { relative: { at: 3, bytes: 4, to: { label } } });
}

/** Leaves the address of a label in a register or in memory, and returns the operand of the jump or call that uses it. */
function indirectOperand(
  draft: RegionDraft,
  label: number,
  inMemory: boolean,
): { number: number; memory?: MemoryOperand } {
  const number = draft.pickWritable();
  if (!inMemory) {
    loadLabel(draft, number, label);
    return { number };
  }
  const request = { bytes: draft.bits / 8, access: 'write', avoid: [number], aligned: true, plain: true } as const;
  const memory = memoryOperand(draft, request);
  loadLabel(draft, number, label);
  draft.emit(draft.encode({ opcode: [0x89], width: draft.bits }, register(number), memory), NO_FLAGS);
  return { number, memory };
}

function jumpIndirect(inMemory: boolean): ControlCard['write'] {
  return (draft) => {
    const label = draft.newLabel();
    const { number, memory } = indirectOperand(draft, label, inMemory);
    const encoded = draft.encode(
      { opcode: [0xff], width: draft.bits, default64: true },
      register(4),
      memory ?? register(number),
    );
    transfer(draft, encoded, { kind: 'jump', label }, `jmp ${inMemory ? 'mem' : 'reg'} ${draft.bits}`);
    passJunk(draft, label);
  };
}

function transfer(
  draft: RegionDraft,
  encoded: Encoded,
  flow: { kind: 'jump' | 'call'; label: number },
  cell: string,
): void {
  draft.emit(encoded, NO_FLAGS, [cell], { flow });
}

/** push target; ret */
const jumpByReturn: ControlCard['write'] = (draft) => {
  needStack(draft);
  const label = draft.newLabel();
  const { number } = indirectOperand(draft, label, false);
  draft.push(number);
  draft.emit({ bytes: [0xc3] }, NO_FLAGS, [`ret to a pushed address ${draft.bits}`], { flow: { kind: 'jump', label } });
  passJunk(draft, label);
};

function needStack(draft: RegionDraft): void {
  if (!draft.roles.stack || draft.inRoutine || draft.locked.has(RSP)) throw new DoesNotFit();
}

/** Calls a routine behind the region, once or twice; it returns by ret or ret imm16. */
function callRoutine(how: 'rel32' | 'reg' | 'mem', returns: 'ret' | 'ret imm16'): ControlCard['write'] {
  return (draft, body) => {
    needStack(draft);
    const entry = draft.newLabel();
    const twice = draft.random.below(3) === 0;
    if (twice) draft.defineFlags(STATUS_FLAGS);
    const sites = [emitCall(draft, how, entry)];
    if (twice) {
      // Between the calls the flags become defined again, so that both enter the routine alike.
      const inner = draft.undefinedHere;
      draft.emit(draft.encode({ opcode: [0x39], width: draft.bits }, register(RAX), register(RAX)), ALL);
      sites.push(emitCall(draft, 'rel32', entry));
      draft.undefinedHere = inner;
    }
    draft.inRoutine = true;
    try {
      const routine = draft.apart(() => {
        draft.placeLabel(entry);
        body(draft, 1 + draft.random.below(3));
        const bytes = returns === 'ret' ? [0xc3] : [0xc2, (draft.bits / 8) * draft.random.below(3), 0];
        draft.emit({ bytes }, NO_FLAGS, [`${returns} ${draft.bits}`], { flow: { kind: 'return', sites }, keep: true });
      });
      draft.routines.push(routine);
    } finally {
      draft.inRoutine = false;
    }
  };
}

/** A call and the label behind it, to which its routine returns. */
function emitCall(draft: RegionDraft, how: 'rel32' | 'reg' | 'mem', entry: number): number {
  const site = draft.newLabel();
  const flow = { kind: 'call' as const, label: entry };
  if (how === 'rel32') {
    const relative = { at: 1, bytes: 4 as const, to: { label: entry } };
    draft.emit({ bytes: [0xe8, 0, 0, 0, 0] }, NO_FLAGS, [`call rel32 ${draft.bits}`], { flow, relative });
  } else {
    const { number, memory } = indirectOperand(draft, entry, how === 'mem');
    const encoded = draft.encode(
      { opcode: [0xff], width: draft.bits, default64: true },
      register(2),
      memory ?? register(number),
    );
    transfer(draft, encoded, flow, `call ${how} ${draft.bits}`);
  }
  draft.placeLabel(site);
  return site;
}

export const controlCardsOf = (bits: Bits): readonly ControlCard[] => [
  ...CONDITIONS.flatMap((name, condition) =>
    ([1, 4] as const).map((size) => ({ name: `j${name} rel${size * 8}`, write: branchOver(condition, size) })),
  ),
  ...(Object.keys(LATCHES) as (keyof typeof LATCHES)[]).flatMap((latch) =>
    ([1, 4] as const).map((size) => ({ name: `loop by ${latch}`, write: countedLoop(latch, size) })),
  ),
  ...(bits === 64 ? ([32, 64] as const) : ([16, 32] as const)).flatMap((width) => [
    { name: 'jrcxz', write: counterZero(width) },
    { name: 'loop', write: loopInstruction(0xe2, 'loop', width) },
    { name: 'loope', write: loopInstruction(0xe1, 'loope', width) },
    { name: 'loopne', write: loopInstruction(0xe0, 'loopne', width) },
  ]),
  ...([1, 4] as const).map((size) => ({ name: `jmp rel${size * 8}`, write: jumpRelative(size) })),
  ...[true, false].map((inMemory) => ({ name: 'jmp indirect', write: jumpIndirect(inMemory) })),
  { name: 'push ret', write: jumpByReturn },
  ...(['rel32', 'reg', 'mem'] as const).flatMap((how) =>
    (['ret', 'ret imm16'] as const).map((returns) => ({ name: `call ${how}`, write: callRoutine(how, returns) })),
  ),
];

/** Opcodes that no mode knows, and lock where it is not allowed. */
const INVALID_ANYWHERE: readonly (readonly number[])[] = [
  [0x0f, 0x0b],
  [0x0f, 0x0a],
  [0xf0, 0x89, 0xc8],
  [0xf0, 0x01, 0xc8],
  [0xf0, 0x39, 0x00],
  [0xf0, 0x90],
  [0x8d, 0xc0],
  [0xfe, 0xd0],
  [0xff, 0xf8],
  [0x0f, 0xc7, 0xc8],
  [0xc6, 0xc8, 0x00],
  [0x8f, 0xc8],
  [0xf0, 0x0f, 0xa3, 0x00],
  [0xf0, 0xa4],
  [0xf0, 0x0f, 0xba, 0x20, 0x01],
];

/** Also what only 32-bit mode knows. */
const INVALID_64: readonly (readonly number[])[] = [
  ...INVALID_ANYWHERE,
  [0x06],
  [0x0e],
  [0x16],
  [0x1e],
  [0x27],
  [0x2f],
  [0x37],
  [0x3f],
  [0x60],
  [0x61],
  [0xce],
  [0xd4, 0x0a],
  [0xd5, 0x0a],
  [0xd6],
];

/** Instructions that only the kernel may execute; in user mode each raises #GP(0). */
const PRIVILEGED: readonly (readonly number[])[] = [
  [0xf4],
  [0xfa],
  [0xfb],
  [0xe4, 0x80],
  [0xe7, 0x80],
  [0xec],
  [0xef],
  [0x0f, 0x20, 0xc0],
  [0x0f, 0x22, 0xd8],
  [0x0f, 0x09],
  [0x0f, 0x06],
  [0x0f, 0x01, 0x10],
  [0x0f, 0x01, 0x38],
  [0x0f, 0x32],
  [0x0f, 0x30],
  [0x0f, 0x00, 0xd8],
];

const PRIVILEGED_64: readonly (readonly number[])[] = [...PRIVILEGED, [0x48, 0x0f, 0x07], [0x0f, 0x01, 0xf8]];

/** Ends a region by an exception that is not an operand's: #UD, #GP, #BP, or a jump to where no code may be fetched. */
export function raiseException(draft: RegionDraft): void {
  const { random } = draft;
  const kind = random.below(draft.cpl === 3 ? 4 : 3);
  if (kind === 0) {
    draft.emit({ bytes: [...random.pick(draft.bits === 64 ? INVALID_64 : INVALID_ANYWHERE)] }, NO_FLAGS, [], {
      flow: { kind: 'stop' },
    });
    return;
  }
  if (kind === 3) {
    draft.emit({ bytes: [...random.pick(draft.bits === 64 ? PRIVILEGED_64 : PRIVILEGED)] }, NO_FLAGS, [], {
      flow: { kind: 'stop' },
    });
    return;
  }
  const target = draft.pickWritable();
  const address = random.pick([
    A_ADDRESS + random.below(PAGE_BYTES),
    B_ADDRESS - 1 - random.below(PAGE_BYTES),
    0x7000 + random.below(PAGE_BYTES),
  ]);
  draft.load(target, BigInt(address));
  if (kind === 1 || !draft.roles.stack) {
    draft.emit(
      draft.encode({ opcode: [0xff], width: draft.bits, default64: true }, register(4), register(target)),
      NO_FLAGS,
      [],
      {
        flow: { kind: 'stop' },
      },
    );
    return;
  }
  draft.emit(
    draft.encode({ opcode: [0xff], width: draft.bits, default64: true }, register(2), register(target)),
    NO_FLAGS,
    [],
    {
      flow: { kind: 'stop' },
    },
  );
}
