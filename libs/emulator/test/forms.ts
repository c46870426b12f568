import type { Bits, Width } from './assembler.js';

/** Status flags in rflags. */
export const CF = 0x001;
export const PF = 0x004;
export const AF = 0x010;
export const ZF = 0x040;
export const SF = 0x080;
export const DF = 0x400;
export const OF = 0x800;
export const STATUS_FLAGS = OF | SF | ZF | AF | PF | CF;

/** What an instruction does to the status flags (Intel SDM vol. 1, appendix A); flags in neither set stay as they are. */
export interface FlagEffect {
  readonly reads: number;
  readonly writes: number;
  readonly undefines: number;
}

export type Shape =
  | 'rm,r'
  | 'r,rm'
  | 'rm,imm'
  | 'rm,imm8'
  | 'acc,imm'
  | 'rm'
  | 'rm,1'
  | 'rm,cl'
  | 'r,rm,imm'
  | 'r,rm,imm8'
  | 'rm,r,imm8'
  | 'rm,r,cl'
  | 'r'
  | 'acc,r'
  | 'r,imm'
  | 'r,rm8'
  | 'r,rm16'
  | 'r,rm32'
  | 'r,m'
  | 'm,r'
  | 'm'
  | 'acc,moffs'
  | 'moffs,acc'
  | 'imm'
  | 'imm8'
  | 'none'
  | 'string';

/**
 * One encodable form.
 * opcode8: last opcode byte for 8-bit operands, opcode: all opcode bytes for the other widths.
 * destination: which operands are written: none, the first, or both.
 */
export interface Form {
  readonly mnemonic: string;
  readonly shape: Shape;
  readonly opcode: readonly number[];
  readonly widths: readonly Width[];
  readonly digit?: number;
  readonly prefix?: number;
  readonly flags: FlagEffect;
  readonly destination: 'none' | 'first' | 'both';
  readonly lockable: boolean;
  readonly default64: boolean;
  /** Condition code 0 … 15 of setcc and cmovcc. */
  readonly condition?: number;
}

const FLAG_LETTERS: Readonly<Record<string, number>> = { O: OF, S: SF, Z: ZF, A: AF, P: PF, C: CF, '-': 0 };

const flagSet = (letters: string): number => [...letters].reduce((set, letter) => set | (FLAG_LETTERS[letter] ?? 0), 0);

export const CONDITIONS = [
  'o',
  'no',
  'b',
  'ae',
  'e',
  'ne',
  'be',
  'a',
  's',
  'ns',
  'p',
  'np',
  'l',
  'ge',
  'le',
  'g',
] as const;
const CONDITION_READS = ['O', 'C', 'Z', 'CZ', 'S', 'P', 'SO', 'ZSO'].map(flagSet);

/** Flags that a condition code looks at. */
export const conditionReads = (condition: number): number => CONDITION_READS[condition >> 1] ?? STATUS_FLAGS;

/**
 * A row per form: mnemonic, shape, opcode bytes for 16 … 64 bits (an 8-bit form has the last byte minus one), digit of the ModRM
 * reg field, widths, flags read, written, undefined, destination, options (lock; d64: 64 bits without REX.W; pXX: mandatory prefix).
 */
const ROWS = `
test    rm,r      85     -  8,16,32,64  -  OSZPC  A      none
test    acc,imm   a9     -  8,16,32,64  -  OSZPC  A      none
test    rm,imm    f7     0  8,16,32,64  -  OSZPC  A      none
inc     rm        ff     0  8,16,32,64  -  OSZAP  -      first  lock
dec     rm        ff     1  8,16,32,64  -  OSZAP  -      first  lock
not     rm        f7     2  8,16,32,64  -  -      -      first  lock
neg     rm        f7     3  8,16,32,64  -  OSZAPC -      first  lock
mul     rm        f7     4  8,16,32,64  -  OC     SZAP   none
imul    rm        f7     5  8,16,32,64  -  OC     SZAP   none
div     rm        f7     6  8,16,32,64  -  -      OSZAPC none
idiv    rm        f7     7  8,16,32,64  -  -      OSZAPC none
imul    r,rm      0faf   -  16,32,64    -  OC     SZAP   first
imul    r,rm,imm  69     -  16,32,64    -  OC     SZAP   first
imul    r,rm,imm8 6b     -  16,32,64    -  OC     SZAP   first
mov     rm,r      89     -  8,16,32,64  -  -      -      first
mov     r,rm      8b     -  8,16,32,64  -  -      -      first
mov     rm,imm    c7     0  8,16,32,64  -  -      -      first
mov     r,imm     b8     -  8,16,32,64  -  -      -      first
mov     acc,moffs a1     -  8,16,32,64  -  -      -      none
mov     moffs,acc a3     -  8,16,32,64  -  -      -      none
movzx   r,rm8     0fb6   -  16,32,64    -  -      -      first
movzx   r,rm16    0fb7   -  32,64       -  -      -      first
movsx   r,rm8     0fbe   -  16,32,64    -  -      -      first
movsx   r,rm16    0fbf   -  32,64       -  -      -      first
movsxd  r,rm32    63     -  32,64       -  -      -      first
lea     r,m       8d     -  16,32,64    -  -      -      first
xchg    rm,r      87     -  8,16,32,64  -  -      -      both   lock
xchg    acc,r     90     -  16,32,64    -  -      -      first
cmpxchg rm,r      0fb1   -  8,16,32,64  -  OSZAPC -      first  lock
xadd    rm,r      0fc1   -  8,16,32,64  -  OSZAPC -      both   lock
cmpxchg8b  m      0fc7   1  32          -  Z      -      none   lock
cmpxchg16b m      0fc7   1  64          -  Z      -      none   lock
shld    rm,r,imm8 0fa4   -  16,32,64    -  OSZPC  A      first
shld    rm,r,cl   0fa5   -  16,32,64    -  OSZPC  A      first
shrd    rm,r,imm8 0fac   -  16,32,64    -  OSZPC  A      first
shrd    rm,r,cl   0fad   -  16,32,64    -  OSZPC  A      first
bsf     r,rm      0fbc   -  16,32,64    -  Z      OSAPC  first
bsr     r,rm      0fbd   -  16,32,64    -  Z      OSAPC  first
tzcnt   r,rm      0fbc   -  16,32,64    -  ZC     OSAP   first  pf3
lzcnt   r,rm      0fbd   -  16,32,64    -  ZC     OSAP   first  pf3
popcnt  r,rm      0fb8   -  16,32,64    -  OSZAPC -      first  pf3
bswap   r         0fc8   -  32,64       -  -      -      first
movbe   r,m       0f38f0 -  16,32,64    -  -      -      first
movbe   m,r       0f38f1 -  16,32,64    -  -      -      first
cbw     none      98     -  16,32,64    -  -      -      none
cwd     none      99     -  16,32,64    -  -      -      none
lahf    none      9f     -  8           SZAPC -   -      none
sahf    none      9e     -  8           -  SZAPC  -      none
clc     none      f8     -  8           -  C      -      none
stc     none      f9     -  8           -  C      -      none
cmc     none      f5     -  8           C  C      -      none
cld     none      fc     -  8           -  -      -      none
std     none      fd     -  8           -  -      -      none
xlat    none      d7     -  8           -  -      -      none
nop     none      90     -  8           -  -      -      none
nop     rm        0f1f   0  16,32,64    -  -      -      none
pause   none      90     -  8           -  -      -      none   pf3
endbr64 none      0f1efa -  8           -  -      -      none   pf3
lfence  none      0faee8 -  8           -  -      -      none
mfence  none      0faef0 -  8           -  -      -      none
sfence  none      0faef8 -  8           -  -      -      none
prefetchnta m     0f18   0  32          -  -      -      none
prefetcht0  m     0f18   1  32          -  -      -      none
prefetchw   m     0f0d   1  32          -  -      -      none
push    r         50     -  16,64       -  -      -      none   d64
push    imm       68     -  16,64       -  -      -      none   d64
push    imm8      6a     -  16,64       -  -      -      none   d64
push    rm        ff     6  16,64       -  -      -      none   d64
pop     r         58     -  16,64       -  -      -      first  d64
pop     rm        8f     0  16,64       -  -      -      first  d64
pushf   none      9c     -  16,64       OSZAPC -  -      none   d64
popf    none      9d     -  16,64       -  OSZAPC -      none   d64
leave   none      c9     -  64          -  -      -      none   d64
movs    string    a5     -  8,16,32,64  -  -      -      none
cmps    string    a7     -  8,16,32,64  -  OSZAPC -      none
stos    string    ab     -  8,16,32,64  -  -      -      none
lods    string    ad     -  8,16,32,64  -  -      -      none
scas    string    af     -  8,16,32,64  -  OSZAPC -      none
`;

const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'] as const;
const LOGICAL = new Set(['or', 'and', 'xor']);
const BIT_TESTS = ['bt', 'bts', 'btr', 'btc'] as const;
const SHIFTS = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar'] as const;
const ROTATES = new Set(['rol', 'ror', 'rcl', 'rcr']);

const hexByte = (value: number): string => value.toString(16).padStart(2, '0');

/** Rows of the families whose opcodes follow from a position in the opcode map. */
function regularRows(): string[] {
  const alu = ALU.flatMap((name, i) => {
    const flags = `${name === 'adc' || name === 'sbb' ? 'C' : '-'} ${LOGICAL.has(name) ? 'OSZPC A' : 'OSZAPC -'}`;
    const end = name === 'cmp' ? `${flags} none` : `${flags} first`;
    const lock = name === 'cmp' ? '' : 'lock';
    return [
      `${name} rm,r    ${hexByte(i * 8 + 1)} - 8,16,32,64 ${end} ${lock}`,
      `${name} r,rm    ${hexByte(i * 8 + 3)} - 8,16,32,64 ${end}`,
      `${name} acc,imm ${hexByte(i * 8 + 5)} - 8,16,32,64 ${end}`,
      `${name} rm,imm  81 ${i} 8,16,32,64 ${end} ${lock}`,
      `${name} rm,imm8 83 ${i} 16,32,64 ${end} ${lock}`,
    ];
  });
  const shifts = SHIFTS.flatMap((name, i) => {
    const reads = name === 'rcl' || name === 'rcr' ? 'C' : '-';
    const flags = ROTATES.has(name) ? `${reads} OC -` : '- OSZPC A';
    return [
      `${name} rm,1    d1 ${i} 8,16,32,64 ${flags} first`,
      `${name} rm,imm8 c1 ${i} 8,16,32,64 ${flags} first`,
      `${name} rm,cl   d3 ${i} 8,16,32,64 ${flags} first`,
    ];
  });
  const bits = BIT_TESTS.flatMap((name, i) => [
    `${name} rm,r    0f${hexByte(0xa3 + i * 8)} - 16,32,64 - C OSAP ${i === 0 ? 'none' : 'first lock'}`,
    `${name} rm,imm8 0fba ${4 + i} 16,32,64 - C OSAP ${i === 0 ? 'none' : 'first lock'}`,
  ]);
  return [...alu, ...shifts, ...bits];
}

function parseRow(row: string): Form {
  const [
    mnemonic = '',
    shape,
    opcode = '',
    digit,
    widths = '',
    reads = '',
    writes = '',
    undefines = '',
    destination,
    ...options
  ] = row.trim().split(/\s+/);
  const prefix = options.find((option) => option.startsWith('p'));
  return {
    mnemonic,
    shape: shape as Shape,
    opcode: opcode.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? [],
    widths: widths.split(',').map((width) => Number(width) as Width),
    ...(digit === '-' ? {} : { digit: Number(digit) }),
    ...(prefix ? { prefix: Number.parseInt(prefix.slice(1), 16) } : {}),
    flags: { reads: flagSet(reads), writes: flagSet(writes), undefines: flagSet(undefines) },
    destination: destination as Form['destination'],
    lockable: options.includes('lock'),
    default64: options.includes('d64'),
  };
}

function conditional(mnemonic: string, shape: Shape, opcode: number, widths: readonly Width[]): Form[] {
  return CONDITIONS.map((name, condition) => ({
    mnemonic: `${mnemonic}${name}`,
    shape,
    opcode: [0x0f, opcode + condition],
    widths,
    ...(shape === 'rm' ? { digit: 0 } : {}),
    flags: { reads: conditionReads(condition), writes: 0, undefines: 0 },
    destination: 'first' as const,
    lockable: false,
    default64: false,
    condition,
  }));
}

/** Forms that 64-bit mode does not have. */
const ROWS_32 = `
inc     r         40     -  16,32       -  OSZAP  -      first
dec     r         48     -  16,32       -  OSZAP  -      first
pusha   none      60     -  16,32       -  -      -      none
popa    none      61     -  16,32       -  -      -      none
`;

const parseRows = (rows: string): Form[] =>
  rows
    .split('\n')
    .filter((row) => row.trim() !== '')
    .map(parseRow);

/** Widths in 32-bit mode: those of the stack are its own. */
const widths32 = ({ widths, default64 }: Form): Width[] =>
  default64 ? widths.map((width) => (width === 64 ? 32 : width)) : widths.filter((width) => width !== 64);

/** Every form that generated code of a mode is made of, branches excepted. */
export const formsOf = (bits: Bits): readonly Form[] => {
  if (bits === 64) return FORMS;
  const shared = FORMS.filter(({ mnemonic }) => mnemonic !== 'movsxd');
  return [...shared.map((form) => ({ ...form, widths: widths32(form) })), ...parseRows(ROWS_32)];
};

const FORMS: readonly Form[] = [
  ...regularRows().map(parseRow),
  ...parseRows(ROWS),
  ...conditional('set', 'rm', 0x90, [8]),
  ...conditional('cmov', 'r,rm', 0x40, [16, 32, 64]),
];

/** The opcode bytes of a form at a width: 8-bit forms have the even neighbour (B0 … B7 for mov r,imm). */
export function opcodeOf(form: Form, width: Width): readonly number[] {
  if (width !== 8 || form.shape === 'none' || form.condition !== undefined) return form.opcode;
  const step = form.shape === 'r,imm' ? 8 : 1;
  return form.opcode.map((byte, i) => (i === form.opcode.length - 1 ? byte - step : byte));
}

/**
 * The flags after a shift, rotate or double shift by `count` (as encoded or in cl; undefined: not known before run time).
 * Intel SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD: a masked count of 0 changes nothing, OF is defined for 1 only,
 * CF of shl and shr is undefined from the operand's width on.
 */
export function shiftFlags(
  form: Form,
  width: Width,
  count: number | undefined,
): FlagEffect & { readonly mayKeep: boolean } {
  const masked = count === undefined ? undefined : count & (width === 64 ? 63 : 31);
  if (masked === 0) return { reads: 0, writes: 0, undefines: 0, mayKeep: false };
  const isShift = ['shl', 'sal', 'shr'].includes(form.mnemonic);
  const carryLost = isShift && (masked === undefined ? width < 32 : masked >= width) ? CF : 0;
  const overflowLost = masked === 1 ? 0 : OF;
  const undefines = form.flags.undefines | carryLost | overflowLost;
  return { reads: form.flags.reads, writes: form.flags.writes & ~undefines, undefines, mayKeep: masked === undefined };
}
