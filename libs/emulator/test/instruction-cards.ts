import {
  type AddressWidth,
  type Bits,
  type Encoded,
  type MemoryOperand,
  type Operand,
  type RegisterOperand,
  type Width,
} from './assembler.js';
import { DF, type FlagEffect, type Form, formsOf, opcodeOf, STATUS_FLAGS, shiftFlags } from './forms.js';
import {
  type AccessRequest,
  addressingName,
  addressOnly,
  anchor,
  isMapped,
  memoryOperand,
  stackAddress,
} from './memory-operands.js';
import { DoesNotFit, NO_FLAGS, RAX, RBP, RBX, RCX, RDI, RDX, RegionDraft, RSI, RSP, register } from './region-draft.js';
import { interestingCount, interestingImmediate } from './values.js';

/** One cell of the coverage table: a form at a width with a kind of operand. */
export interface Card {
  readonly form: Form;
  readonly width: Width;
  /** high: a register operand is ah … bh; mem-high: memory with ah … bh. */
  readonly variant: 'reg' | 'high' | 'mem' | 'mem-high' | 'lock' | 'only' | 'rep' | 'repne';
}

const WITH_RM = new Set([
  'rm,r',
  'r,rm',
  'rm,imm',
  'rm,imm8',
  'rm',
  'rm,1',
  'rm,cl',
  'r,rm,imm',
  'r,rm,imm8',
  'rm,r,imm8',
  'rm,r,cl',
  'r,rm8',
  'r,rm16',
  'r,rm32',
]);

function variantsOf(form: Form, width: Width): Card['variant'][] {
  if (form.shape === 'string')
    return ['cmps', 'scas'].includes(form.mnemonic) ? ['only', 'rep', 'repne'] : ['only', 'rep'];
  if (form.shape === 'm') return form.lockable ? ['mem', 'lock'] : ['mem'];
  if (!WITH_RM.has(form.shape)) return form.shape === 'r,imm' && width === 8 ? ['only', 'high'] : ['only'];
  const high = width === 8 || (form.shape === 'r,rm8' && width < 64);
  const memoryHigh = width === 8 && (form.shape === 'rm,r' || form.shape === 'r,rm');
  return [
    'reg',
    'mem',
    ...(memoryHigh ? ['mem-high' as const] : []),
    ...(high ? ['high' as const] : []),
    ...(form.lockable ? ['lock' as const] : []),
  ];
}

/** Every cell of a mode once: the deck that the generator deals from, over and over. */
export const cardsOf = (bits: Bits): readonly Card[] =>
  formsOf(bits).flatMap((form) =>
    form.widths.flatMap((width) => variantsOf(form, width).map((variant) => ({ form, width, variant }))),
  );

const REPEAT = { only: undefined, rep: 0xf3, repne: 0xf2 } as const;

interface Operands {
  readonly reg?: RegisterOperand;
  readonly rm?: Operand;
  readonly immediate?: { readonly value: bigint; readonly bytes: number };
  readonly count?: number;
}

const bytesOf = (width: Width): number => width / 8;
const kindOf = (operand: Operand | undefined, width: Width): string => {
  if (operand?.kind === 'mem') return 'mem';
  return operand?.kind === 'reg' && operand.high && width === 8 ? 'high' : 'reg';
};

/** Writes one card's instruction, with what prepares it, into a region. Throws DoesNotFit when its registers are taken. */
export function playCard(draft: RegionDraft, card: Card): void {
  const before = { steps: draft.steps.length, undefinedHere: draft.undefinedHere };
  try {
    new CardPlay(draft, card).play();
  } catch (error) {
    draft.steps.length = before.steps;
    draft.undefinedHere = before.undefinedHere;
    throw error;
  }
}

class CardPlay {
  readonly #draft: RegionDraft;
  readonly #form: Form;
  readonly #width: Width;
  readonly #card: Card;

  constructor(draft: RegionDraft, card: Card) {
    this.#draft = draft;
    this.#card = card;
    this.#form = card.form;
    this.#width = card.width;
  }

  play(): void {
    const special = this.#specialOf(this.#form.mnemonic);
    if (special) special();
    else this.#ordinary();
  }

  #specialOf(mnemonic: string): (() => void) | undefined {
    if (this.#form.shape === 'string') return () => this.#string();
    if (this.#form.shape === 'rm' && ['mul', 'imul', 'div', 'idiv'].includes(mnemonic))
      return () => this.#multiplyOrDivide();
    if (/^(sh|ro|rc|sa)[lr]d?$/.test(mnemonic)) return () => this.#shift();
    if (/^bt[src]?$/.test(mnemonic)) return () => this.#bitTest();
    const table: Readonly<Record<string, () => void>> = {
      bsf: () => this.#bitScan(),
      bsr: () => this.#bitScan(),
      cmpxchg: () => this.#compareExchange(),
      cmpxchg8b: () => this.#compareExchangePair(),
      cmpxchg16b: () => this.#compareExchangePair(),
      lea: () => this.#addressOnly(),
      nop: () => this.#addressOnly(),
      prefetchnta: () => this.#addressOnly(),
      prefetcht0: () => this.#addressOnly(),
      prefetchw: () => this.#addressOnly(),
      xlat: () => this.#xlat(),
      push: () => this.#push(),
      pop: () => this.#pop(),
      pushf: () => this.#pushFlags(),
      popf: () => this.#popFlags(),
      pusha: () => this.#pushAll(),
      popa: () => this.#popAll(),
      leave: () => this.#leave(),
    };
    return table[mnemonic];
  }

  // ---- operands

  #lock(): boolean {
    return this.#card.variant === 'lock';
  }

  #memory(request: Partial<AccessRequest> = {}): MemoryOperand {
    const access = this.#form.destination === 'none' ? 'read' : this.#form.mnemonic === 'mov' ? 'write' : 'rmw';
    const aligned = this.#lock() || this.#form.mnemonic === 'xchg';
    return memoryOperand(this.#draft, { bytes: bytesOf(this.#width), access, aligned, ...request });
  }

  /** A byte register is ah … bh where the card asks for it; the others then must not need REX. */
  #register(
    write: boolean,
    width = this.#width,
    avoid: readonly number[] = [],
    high = false,
    legacyOnly = false,
  ): RegisterOperand {
    const { random } = this.#draft;
    const pool = write ? this.#draft.writable : Array.from({ length: this.#draft.registers }, (_, i) => i);
    const lowBytesOnly = legacyOnly || this.#draft.bits === 32;
    const limit = high || (lowBytesOnly && width === 8) ? 4 : legacyOnly ? 8 : 16;
    const candidates = pool.filter((number) => number < limit && !avoid.includes(number));
    if (candidates.length === 0) throw new DoesNotFit();
    return register(random.pick(candidates), high || (legacyOnly && width === 8 && random.below(2) === 0));
  }

  #rm(write: boolean, width: Width = this.#width, avoid: readonly number[] = []): Operand {
    const { variant } = this.#card;
    if (variant === 'mem' || variant === 'lock') return this.#memory({ bytes: bytesOf(width), avoid });
    return this.#register(write, width, avoid, variant === 'high');
  }

  #immediate(bytes = Math.min(bytesOf(this.#width), 4)): { value: bigint; bytes: number } {
    const bits = (8 * bytes) as 8 | 16 | 32 | 64;
    return { value: interestingImmediate(this.#draft.random, bits), bytes };
  }

  // ---- emission

  #cells(operands: Operands, kinds: string): string[] {
    const repeat = {
      rep: ['cmps', 'scas'].includes(this.#form.mnemonic) ? 'repe ' : 'rep ',
      repne: 'repne ',
    } as Record<string, string>;
    const prefix = this.#lock() ? 'lock ' : (repeat[this.#card.variant] ?? '');
    const cells = [`${prefix}${this.#form.mnemonic} ${kinds} ${this.#width}`];
    if (operands.rm?.kind === 'mem') cells.push(`address ${addressingName(operands.rm)}`);
    return cells;
  }

  #emit(operands: Operands, kinds: string, effect: FlagEffect & { mayKeep?: boolean } = this.#form.flags): void {
    const { reg, rm, immediate } = operands;
    this.#draft.defineFlags(effect.reads);
    const encoding = {
      opcode: opcodeOf(this.#form, this.#width),
      width: this.#width,
      default64: this.#form.default64,
      lock: this.#lock(),
      ...(this.#form.prefix === undefined ? {} : { mandatoryPrefix: this.#form.prefix }),
      ...(immediate ? { immediate } : {}),
    };
    const digit = this.#form.digit === undefined ? reg : register(this.#form.digit);
    const byteOperands = this.#byteOperands(operands);
    const encoded: Encoded = this.#draft.encode(encoding, digit, rm, byteOperands);
    this.#draft.emit(encoded, effect, this.#cells(operands, kinds), { mayKeep: effect.mayKeep ?? false });
  }

  #byteOperands({ reg, rm }: Operands): (Operand | undefined)[] {
    if (this.#form.shape === 'r,rm8') return [rm];
    return this.#width === 8 ? [this.#form.digit === undefined ? reg : undefined, rm] : [];
  }

  // ---- ordinary forms, by shape

  #ordinary(): void {
    const { shape, destination } = this.#form;
    const writesFirst = destination !== 'none';
    const writesBoth = destination === 'both';
    const high = this.#card.variant === 'high';
    switch (shape) {
      case 'rm,r':
      case 'r,rm': {
        const rmWritten = shape === 'rm,r' ? writesFirst : writesBoth;
        const regWritten = shape === 'rm,r' ? writesBoth : writesFirst;
        const access = rmWritten ? 'rmw' : 'read';
        const withHigh = this.#card.variant === 'mem-high';
        const inMemory = withHigh || this.#card.variant === 'mem' || this.#lock();
        const rm = inMemory ? this.#memory({ access, legacyOnly: withHigh }) : this.#rm(rmWritten);
        const reg = this.#register(regWritten, this.#width, [], withHigh, high);
        const [first, second] = shape === 'rm,r' ? [rm, reg] : [reg, rm];
        this.#emit({ reg, rm }, `${kindOf(first, this.#width)},${kindOf(second, this.#width)}`);
        return;
      }
      case 'rm': {
        const rm = this.#rm(writesFirst);
        this.#emit({ rm }, kindOf(rm, this.#width));
        return;
      }
      case 'rm,imm':
      case 'rm,imm8': {
        const rm = this.#rm(writesFirst);
        const immediate = this.#immediate(shape === 'rm,imm8' ? 1 : undefined);
        this.#emit({ rm, immediate }, `${kindOf(rm, this.#width)},${shape.slice(3)}`);
        return;
      }
      case 'r,rm,imm':
      case 'r,rm,imm8': {
        const rm = this.#rm(false);
        const reg = this.#register(true);
        this.#emit(
          { reg, rm, immediate: this.#immediate(shape === 'r,rm,imm8' ? 1 : undefined) },
          `reg,${kindOf(rm, this.#width)},${shape.slice(5)}`,
        );
        return;
      }
      case 'r,rm8':
      case 'r,rm16':
      case 'r,rm32':
        this.#widening(Number(shape.slice(4)) as Width);
        return;
      case 'acc,imm':
        if (writesFirst) this.#draft.needWritable(RAX);
        this.#emit({ immediate: this.#immediate() }, 'acc,imm');
        return;
      case 'r,m':
      case 'm,r': {
        const rm = this.#memory({ access: shape === 'm,r' ? 'write' : 'read' });
        this.#emit({ reg: this.#register(shape === 'r,m'), rm }, shape === 'm,r' ? 'mem,reg' : 'reg,mem');
        return;
      }
      case 'r,imm':
      case 'r':
      case 'acc,r':
        this.#opcodeRegister();
        return;
      case 'acc,moffs':
      case 'moffs,acc':
        this.#absoluteOffset();
        return;
      case 'none':
        this.#withoutOperands();
        return;
      default:
        throw new Error(`no way to write ${this.#form.mnemonic} ${shape}`);
    }
  }

  #widening(from: Width): void {
    const rm = this.#rm(false, from);
    const high = this.#card.variant === 'high';
    const reg = this.#register(true, this.#width, [], false, high);
    this.#emit({ reg, rm }, `reg,${kindOf(rm, from)}${from}`);
  }

  #opcodeRegister(): void {
    const { shape, default64 } = this.#form;
    const target = this.#register(true, this.#width, [], this.#card.variant === 'high');
    if (shape === 'acc,r') this.#draft.needWritable(RAX);
    const immediate = shape === 'r,imm' ? { immediate: this.#immediate(bytesOf(this.#width)) } : {};
    const encoding = { opcode: opcodeOf(this.#form, this.#width), width: this.#width, default64, ...immediate };
    const isShortStep = (this.#form.opcode[0] ?? 0) >> 4 === 4;
    const kinds = {
      r: isShortStep ? 'short reg' : 'reg',
      'acc,r': 'acc,reg',
      'r,imm': `${kindOf(target, this.#width)},imm`,
    }[shape as 'r'];
    this.#draft.emit(this.#draft.encodeOpcodeRegister(encoding, target), this.#form.flags, this.#cells({}, kinds));
  }

  #absoluteOffset(): void {
    if (this.#form.shape === 'acc,moffs') this.#draft.needWritable(RAX);
    const addressWidth = this.#addressWidth(4);
    const access = this.#form.shape === 'acc,moffs' ? 'read' : 'write';
    const value = anchor(this.#draft, { bytes: bytesOf(this.#width), access }, this.#isNarrow(addressWidth));
    const encoding = { opcode: opcodeOf(this.#form, this.#width), width: this.#width, addressWidth } as const;
    const encoded = this.#draft.encode({ ...encoding, immediate: { value, bytes: addressWidth / 8 } });
    this.#draft.emit(encoded, NO_FLAGS, [...this.#cells({}, this.#form.shape), `address moffs ${addressWidth}`]);
  }

  /** Once in `times` cases less than the mode's own width. */
  #addressWidth(times: number): AddressWidth {
    return this.#draft.bits === 32 || this.#draft.random.below(times) === 0 ? 32 : 64;
  }

  #isNarrow(addressWidth: AddressWidth): boolean {
    return addressWidth < this.#draft.bits;
  }

  #withoutOperands(): void {
    const { mnemonic } = this.#form;
    if (['cbw', 'lahf'].includes(mnemonic)) this.#draft.needWritable(RAX);
    if (mnemonic === 'cwd') this.#draft.needWritable(RDX);
    this.#emit({}, 'none');
  }

  // ---- families with rules of their own

  #addressOnly(): void {
    const { draft } = { draft: this.#draft };
    if (this.#form.shape === 'none') {
      this.#withoutOperands();
      return;
    }
    if (this.#form.mnemonic === 'nop' && this.#card.variant === 'reg') {
      this.#ordinary();
      return;
    }
    const rm = addressOnly(draft);
    if (this.#form.mnemonic !== 'lea') {
      this.#emit({ rm }, 'mem');
      return;
    }
    this.#emit({ reg: this.#register(true), rm }, 'reg,mem');
  }

  #multiplyOrDivide(): void {
    const draft = this.#draft;
    const { random } = draft;
    draft.needWritable(RAX, ...(this.#width === 8 ? [] : [RDX]));
    const divides = this.#form.mnemonic.endsWith('div');
    const rm = this.#rm(false, this.#width, [RAX, RDX]);
    if (divides && random.below(25) !== 0) this.#dividend(rm);
    this.#emit({ rm }, kindOf(rm, this.#width));
  }

  /** Makes most quotients fit: the high half is a sign extension, zero, or small beside a divisor with its top bit set. */
  #dividend(rm: Operand): void {
    const draft = this.#draft;
    const { random } = draft;
    const signed = this.#form.mnemonic === 'idiv';
    if (this.#width === 8) {
      const opcode = signed ? [0x0f, 0xbe] : [0x0f, 0xb6];
      draft.emit(draft.encode({ opcode, width: 32 }, register(RAX), register(RAX)), NO_FLAGS);
      return;
    }
    if (signed)
      draft.emit({ bytes: this.#width === 64 ? [0x48, 0x99] : this.#width === 16 ? [0x66, 0x99] : [0x99] }, NO_FLAGS);
    else draft.load(RDX, random.below(3) === 0 ? BigInt(random.below(100)) : 0n);
    if (rm.kind !== 'reg' || rm.high || !draft.writable.includes(rm.number) || rm.number === RAX || rm.number === RDX)
      return;
    const value = signed
      ? interestingImmediate(random, 32) | 2n
      : (random.nextU64() | (1n << 63n)) >> BigInt(64 - this.#width);
    draft.load(rm.number, value);
  }

  #shift(): void {
    const draft = this.#draft;
    const { random } = draft;
    const { shape } = this.#form;
    const double = shape.startsWith('rm,r,');
    const usesCl = shape.endsWith('cl');
    // A 16-bit double shift by more than 16 leaves its destination undefined.
    const narrowDouble = double && this.#width === 16;
    const known = usesCl && (narrowDouble || random.below(5) < 3);
    const rm = this.#rm(true, this.#width, usesCl ? [RCX] : []);
    const count = this.#count(narrowDouble);
    if (known) {
      draft.needWritable(RCX);
      draft.load(RCX, BigInt(count) | (random.nextU64() & ~0xffn));
    }
    const reg = double ? { reg: this.#register(false) } : {};
    const immediate = shape.endsWith('imm8') ? { immediate: { value: BigInt(count), bytes: 1 } } : {};
    const effective = shape === 'rm,1' ? 1 : usesCl && !known ? undefined : count;
    this.#emit(
      { ...reg, rm, ...immediate },
      shape.replace('rm', kindOf(rm, this.#width)).replace(',r,', ',reg,'),
      shiftFlags(this.#form, this.#width, effective),
    );
  }

  #count(narrowDouble: boolean): number {
    const count = interestingCount(this.#draft.random, this.#width);
    return narrowDouble && (count & 31) > 16 ? count & 15 : count;
  }

  #bitTest(): void {
    const draft = this.#draft;
    const access = this.#form.destination === 'none' ? 'read' : 'rmw';
    const memory = this.#card.variant === 'mem' || this.#lock();
    if (this.#form.shape === 'rm,imm8') {
      const rm = memory ? this.#memory({ access }) : this.#rm(access === 'rmw');
      this.#emit({ rm, immediate: this.#immediate(1) }, `${kindOf(rm, this.#width)},imm8`);
      return;
    }
    if (!memory) {
      const rm = this.#rm(access === 'rmw');
      this.#emit({ reg: this.#register(false), rm }, 'reg,reg');
      return;
    }
    // The bit offset is signed and reaches beyond the operand; garbage above the operand's width must not matter.
    const offset = draft.pickWritable();
    const rm = this.#memory({ access, avoid: [offset] });
    const value = BigInt(draft.random.below(1600) - 800);
    const garbage = this.#width === 64 ? 0n : draft.random.nextU64() << BigInt(this.#width);
    draft.load(offset, garbage | BigInt.asUintN(this.#width, value));
    this.#emit({ reg: register(offset), rm }, 'mem,reg');
  }

  /** The destination of a scan of 0 is undefined: either the source has a bit set, or the destination is overwritten. */
  #bitScan(): void {
    const draft = this.#draft;
    const { random } = draft;
    const nonZero = random.below(5) < 3;
    const rm = this.#rm(nonZero, this.#width);
    if (nonZero) {
      const value = this.#immediate();
      const immediate = { value: value.value === 0n ? 1n : value.value, bytes: value.bytes };
      draft.emit(draft.encode({ opcode: [0xc7], width: this.#width, immediate }, register(0), rm), NO_FLAGS);
    }
    const reg = this.#register(true);
    this.#emit({ reg, rm }, `reg,${kindOf(rm, this.#width)}`);
    if (!nonZero) draft.load(reg.number, interestingImmediate(random, 32));
  }

  #compareExchange(): void {
    const draft = this.#draft;
    draft.needWritable(RAX);
    const high = this.#card.variant === 'high';
    const withHigh = this.#card.variant === 'mem-high';
    const rm = withHigh ? this.#memory({ legacyOnly: true, avoid: [RAX] }) : this.#rm(true, this.#width, [RAX]);
    if (draft.random.below(2) === 0) {
      const load = { opcode: this.#width === 8 ? [0x8a] : [0x8b], width: this.#width };
      draft.emit(draft.encode(load, register(RAX), rm), NO_FLAGS);
    }
    const reg = this.#register(false, this.#width, [], withHigh, high);
    this.#emit({ reg, rm }, `${kindOf(rm, this.#width)},${kindOf(reg, this.#width)}`);
  }

  #compareExchangePair(): void {
    const draft = this.#draft;
    draft.needWritable(RAX, RDX);
    const rm = this.#memory({
      bytes: bytesOf(this.#width) * 2,
      access: 'rmw',
      avoid: [RAX, RDX],
      aligned: true,
      plain: true,
    });
    if (draft.random.below(2) === 0) {
      const load = { opcode: [0x8b], width: this.#width };
      const upper = { ...rm, displacement: rm.displacement + bytesOf(this.#width) };
      draft.emit(draft.encode(load, register(RAX), rm), NO_FLAGS);
      draft.emit(draft.encode(load, register(RDX), upper), NO_FLAGS);
    }
    this.#emit({ rm }, 'mem');
  }

  #xlat(): void {
    const draft = this.#draft;
    draft.needWritable(RAX, RBX);
    const addressWidth = this.#addressWidth(3);
    const table = anchor(draft, { bytes: 1, access: 'read' }, this.#isNarrow(addressWidth));
    const garbage = this.#isNarrow(addressWidth) ? BigInt(draft.random.nextU32()) << 32n : 0n;
    draft.load(RBX, garbage | table);
    draft.emit(draft.encode({ opcode: [0xd7], width: 8, addressWidth }), NO_FLAGS, [
      ...this.#cells({}, 'none'),
      `address xlat ${addressWidth}`,
    ]);
  }

  // ---- strings

  #string(): void {
    const draft = this.#draft;
    const { random } = draft;
    const { mnemonic } = this.#form;
    const variant = this.#card.variant as 'only' | 'rep' | 'repne';
    const addressWidth = this.#addressWidth(4);
    const usesSource = ['movs', 'cmps', 'lods'].includes(mnemonic);
    const usesDestination = mnemonic !== 'lods';
    draft.needWritable(
      ...(usesSource ? [RSI] : []),
      ...(usesDestination ? [RDI] : []),
      ...(variant === 'only' ? [] : [RCX]),
      ...(mnemonic === 'lods' ? [RAX] : []),
    );
    const [source, destination] = this.#stringAddresses(addressWidth);
    const above = this.#isNarrow(addressWidth) ? BigInt(random.nextU32()) << 32n : 0n;
    if (usesSource) draft.load(RSI, above | source);
    if (usesDestination) draft.load(RDI, above | destination);
    if (variant !== 'only') draft.load(RCX, above | BigInt(this.#repeats(above !== 0n)));
    const mandatoryPrefix = REPEAT[variant];
    const encoding = { opcode: opcodeOf(this.#form, this.#width), width: this.#width, addressWidth } as const;
    const encoded = draft.encode({
      ...encoding,
      ...(mandatoryPrefix === undefined ? {} : { mandatoryPrefix }),
    } as const);
    const cells = [...this.#cells({}, 'none'), `address string ${addressWidth}`];
    draft.emit(encoded, this.#form.flags, cells, { mayKeep: variant !== 'only' });
  }

  #stringAddresses(addressWidth: AddressWidth): [bigint, bigint] {
    const request = { bytes: bytesOf(this.#width), access: 'rmw' } as const;
    const source = anchor(this.#draft, request, this.#isNarrow(addressWidth));
    // When both operands fault at once, which comes first is the implementation's choice.
    const near = isMapped(source) && this.#draft.random.below(4) === 0;
    const destination = near
      ? source + BigInt(this.#draft.random.below(20))
      : anchor(this.#draft, { ...request, mapped: true }, this.#isNarrow(addressWidth));
    return [source, destination];
  }

  #repeats(atLeastOne: boolean): number {
    const { random } = this.#draft;
    const choice = random.below(100);
    if (choice < 12) return atLeastOne ? 1 : 0;
    if (choice < 85) return 1 + random.below(40);
    return choice < 97 ? 40 + random.below(400) : 3000;
  }

  // ---- stack

  #needStack(): void {
    if (!this.#draft.roles.stack || this.#draft.inRoutine) throw new DoesNotFit();
  }

  #push(): void {
    this.#needStack();
    const { shape } = this.#form;
    if (shape === 'imm') {
      this.#emit({ immediate: this.#immediate(Math.min(bytesOf(this.#width), 4)) }, 'imm');
      return;
    }
    if (shape === 'imm8') {
      this.#emit({ immediate: this.#immediate(1) }, 'imm8');
      return;
    }
    if (shape === 'rm') {
      const rm = this.#rm(false);
      this.#emit({ rm }, kindOf(rm, this.#width));
      return;
    }
    const encoding = { opcode: this.#form.opcode, width: this.#width, default64: true };
    const encoded = this.#draft.encodeOpcodeRegister(encoding, this.#register(false));
    this.#draft.emit(encoded, NO_FLAGS, this.#cells({}, 'reg'));
  }

  #pop(): void {
    this.#needStack();
    const draft = this.#draft;
    if (this.#form.shape === 'rm') {
      const rm = this.#card.variant === 'mem' ? this.#memory({ access: 'write' }) : this.#register(true);
      this.#emit({ rm }, kindOf(rm, this.#width));
      return;
    }
    const encoding = { opcode: this.#form.opcode, width: this.#width, default64: true };
    const intoStackPointer = this.#width === draft.bits && draft.random.below(6) === 0;
    if (intoStackPointer) {
      const value = draft.pickWritable();
      draft.load(value, stackAddress(draft));
      draft.push(value);
    }
    const target = intoStackPointer ? register(RSP) : this.#register(true);
    draft.emit(draft.encodeOpcodeRegister(encoding, target), NO_FLAGS, this.#cells({}, 'reg'));
  }

  #pushFlags(): void {
    this.#needStack();
    this.#emit({}, 'none');
  }

  /** Trap, alignment check and the system flags stay as they are natively. */
  #popFlags(): void {
    this.#needStack();
    const draft = this.#draft;
    const value = draft.pickWritable();
    draft.load(value, BigInt(0x202 | (draft.random.nextU32() & (STATUS_FLAGS | DF))));
    draft.emit(
      draft.encodeOpcodeRegister({ opcode: [0x50], width: this.#width, default64: true }, register(value)),
      NO_FLAGS,
    );
    this.#emit({}, 'none');
  }

  #pushAll(): void {
    this.#needStack();
    this.#emit({}, 'none');
  }

  /** Behind a pusha, with other values for a register and for the stack pointer, which is skipped. */
  #popAll(): void {
    this.#needStack();
    const draft = this.#draft;
    const target = draft.pickWritable();
    const bytes = bytesOf(this.#width);
    draft.emit(draft.encode({ opcode: [0x60], width: this.#width }), NO_FLAGS);
    for (const number of [target, RSP]) {
      const saved = { kind: 'mem', base: RSP, displacement: bytes * (7 - number), encoding: 'disp8' } as const;
      const encoding = { opcode: [0xc7], width: this.#width, immediate: this.#immediate() };
      draft.emit(draft.encode(encoding, register(0), { ...saved, addressWidth: draft.bits }), NO_FLAGS);
    }
    this.#emit({}, 'none');
  }

  #leave(): void {
    this.#needStack();
    this.#draft.needWritable(RBP);
    this.#draft.load(RBP, stackAddress(this.#draft));
    this.#emit({}, 'none');
  }
}
