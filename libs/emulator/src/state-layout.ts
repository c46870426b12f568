/**
 * Everything that generated code and JavaScript share lives in one WebAssembly memory; this file declares where.
 * The state area is at address 0, so that constant addresses in generated code are short.
 */

const WIDTHS = { u32: 4, u64: 8 } as const;

type FieldType = keyof typeof WIDTHS;

/** The state area: name and type of each field; offsets follow from the order. `gpr` is 16 × u64 and must be first. */
const FIELDS = {
  rip: 'u64',
  flagA: 'u64',
  flagB: 'u64',
  flagKind: 'u32',
  /** RFLAGS without the arithmetic flags; bit 1 is always set. */
  systemFlags: 'u32',
  eventPointer: 'u32',
  addressPointer: 'u32',
  extraPointer: 'u32',
  eventLimit: 'u32',
  addressLimit: 'u32',
  /** Retired user-mode instructions until the timer is due, or an upper bound of them when it is off. */
  userFuel: 'u32',
  /** Transfers of control until generated code leaves so that the budget can be checked (not recording). */
  fuel: 'u32',
  exitReason: 'u32',
  exitSite: 'u32',
  exitVector: 'u32',
  /** Interrupts that wait for IF: bit n is vector 0x20 + n. */
  interruptPending: 'u32',
  storePending: 'u32',
  leaveAfter: 'u32',
  accessPhys: 'u32',
  cpl: 'u32',
  fsBase: 'u64',
  gsBase: 'u64',
  kernelGsBase: 'u64',
  /** Number of the address space whose user code mappings are current: compared in the user jump cache. */
  space: 'u32',
  star: 'u64',
  lstar: 'u64',
  cstar: 'u64',
  sfmask: 'u64',
  sysenterCs: 'u64',
  sysenterEsp: 'u64',
  sysenterEip: 'u64',
  cr0: 'u64',
  cr2: 'u64',
  cr3: 'u64',
  cr4: 'u64',
  efer: 'u64',
  csSelector: 'u32',
  ssSelector: 'u32',
  dsSelector: 'u32',
  esSelector: 'u32',
  fsSelector: 'u32',
  gsSelector: 'u32',
  ldtrSelector: 'u32',
  trSelector: 'u32',
  csBase: 'u32',
  ssBase: 'u32',
  dsBase: 'u32',
  esBase: 'u32',
  gdtrLimit: 'u32',
  idtrLimit: 'u32',
  gdtrBase: 'u64',
  idtrBase: 'u64',
  trBase: 'u64',
  ldtrBase: 'u64',
  trLimit: 'u32',
  ldtrLimit: 'u32',
  /** A page-crossing access of a careful function reads and writes here. */
  scratch0: 'u64',
  scratch1: 'u64',
  dr0: 'u64',
  dr1: 'u64',
  dr2: 'u64',
  dr3: 'u64',
  dr6: 'u64',
  dr7: 'u64',
  timeStampReads: 'u64',
  /** Retired user-mode instructions when `userFuel` was last loaded with `fuelLoaded`. */
  userBase: 'u64',
  fuelLoaded: 'u32',
  /** In retired user-mode instructions; 0 = off. */
  timerPeriod: 'u32',
  /** Count of retired user-mode instructions at which the timer is due; all ones = never. */
  timerDue: 'u64',
  /** 1 = exceptions end the run instead of entering the guest's handlers. */
  exceptionsExit: 'u32',
  /** 32-bit code: the offset behind the last byte of the segment; 0 when the selector is null. */
  fsEnd: 'u64',
  gsEnd: 'u64',
  /** 32-bit code: privilege level of the segment in each selector register, two bits each by its number. */
  segmentPrivileges: 'u32',
} as const satisfies Record<string, FieldType>;

export type StateField = keyof typeof FIELDS;

const GPR_BYTES = 16 * 8;

const layOut = (): Readonly<Record<StateField, number>> => {
  let offset = GPR_BYTES;
  const offsets: Partial<Record<StateField, number>> = {};
  for (const [name, type] of Object.entries(FIELDS) as [StateField, FieldType][]) {
    const width = WIDTHS[type];
    offset = Math.ceil(offset / width) * width;
    offsets[name] = offset;
    offset += width;
  }
  return offsets as Record<StateField, number>;
};

/** Byte address of each field of the state area. */
export const STATE: Readonly<Record<StateField, number>> = layOut();

export const gprAddress = (register: number): number => register * 8;

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const PAGE_BYTES = 4096;

/**
 * A TLB entry has 32 bytes: read tag (u64: page address, or ones when invalid), write tag (u64), addend (u32: what turns the
 * low half of a virtual address into a WebAssembly address). Kernel and user mode have a TLB each.
 */
export const TLB = { entries: 1024, entryBytes: 32, readTag: 0, writeTag: 8, addend: 16 } as const;

/** A jump cache entry has 16 bytes: address (u64), table slot (u32), number of the address space (u32, user mode only). */
export const JUMP_CACHE = {
  entries: 8192,
  entryBytes: 16,
  tag: 0,
  slot: 8,
  space: 12,
  foldBits: 11,
  spaceShift: 5,
} as const;

const TLB_BYTES = TLB.entries * TLB.entryBytes;
const JUMP_CACHE_BYTES = JUMP_CACHE.entries * JUMP_CACHE.entryBytes;

/**
 * Column sizes in entries. Generated code checks for space only where control can go in circles; between two checks it appends
 * less than `guard` entries, because a path without such a point passes each instruction at most once.
 */
export const COLUMNS = {
  events: { entries: 512 * KIB, guard: 256 * KIB },
  addresses: { entries: 2 * MIB, guard: 1 * MIB },
  extras: { entries: 768 * KIB, guard: 256 * KIB },
} as const;

/** Records of address spaces, each with its list of code mappings (assembly/spaces.ts). */
const SPACES = { count: 256, bytes: 4 * KIB } as const;

/**
 * What assembly/ must know of a site, a row each: address of the instruction (u64), lazy flag kind or a negative number (i32), reference slots before the
 * instruction and in its block (u16 each), its index in the block, its block's instructions, its length, user mode (u8 each), bytes
 * of the checked range (u16), ACCESS bits, OPERATION, register operand or vector (u8 each), offset of the first access (i16).
 */
export const SITE_TABLE = {
  entries: 256 * KIB,
  entryBytes: 32,
  rip: 0,
  flagKind: 8,
  slotsBefore: 12,
  slots: 14,
  index: 16,
  instructions: 17,
  length: 18,
  user: 19,
  rangeBytes: 20,
  access: 22,
  operation: 23,
  operand: 24,
  firstOffset: 26,
} as const;

export const ACCESS = { firstWrites: 1, rangeWrites: 2 } as const;

/** System instructions that assembly/ does itself. */
export const OPERATION = {
  none: 0,
  iretq: 1,
  movCr3: 2,
  invlpg: 3,
  rdtsc: 4,
  /** These in 32-bit code only. */
  iretd: 5,
  int: 6,
} as const;

/** Raw blocks that a machine can tell apart. */
export const RAW_BLOCKS = MIB;

/** User-mode instructions between looks at a timer that is off. */
const FAR_AWAY = 0x40000000;

/** Vector of bit 0 of `interruptPending`; the timer's. */
export const FIRST_VECTOR = 0x20;

const placeRegions = () => {
  let next = 64 * KIB;
  const place = (bytes: number): number => {
    const address = next;
    next += Math.ceil(bytes / (64 * KIB)) * 64 * KIB;
    return address;
  };
  const regions = {
    kernelTlb: place(TLB_BYTES),
    userTlb: place(TLB_BYTES),
    kernelJumpCache: place(JUMP_CACHE_BYTES),
    userJumpCache: place(JUMP_CACHE_BYTES),
    /** Indexes of TLB entries that are not global. */
    tlbLog: place(2 * 4 * TLB.entries),
    largeRegions: place(4 * KIB),
    /** A byte a page of guest-physical memory: 1 = stores must be noticed. */
    protectedPages: place(GIB / PAGE_BYTES),
    /** A byte a raw block: how many instructions it has. */
    blockInstructions: place(RAW_BLOCKS),
    kernelCode: place(4 * KIB),
    spaces: place(SPACES.count * SPACES.bytes),
    sites: place(SITE_TABLE.entries * SITE_TABLE.entryBytes),
    events: place(4 * COLUMNS.events.entries),
    addresses: place(4 * COLUMNS.addresses.entries),
    extras: place(4 * COLUMNS.extras.entries),
    encoder: place(16 * MIB),
  };
  return { ...regions, ram: next };
};

/** Byte address of each region of the machine's memory. */
export const REGION = placeRegions();

export const ENCODER_BYTES = 16 * MIB;
export const WASM_PAGE_BYTES = 64 * KIB;

export const tlbAddress = (user: boolean): number => (user ? REGION.userTlb : REGION.kernelTlb);
export const jumpCacheAddress = (user: boolean): number => (user ? REGION.userJumpCache : REGION.kernelJumpCache);

/** Byte offset of the jump cache entry for the low half of an address; `space` is 0 in kernel mode. */
export const jumpCacheOffset = (low: number, space: number): number =>
  ((low ^ (low >>> JUMP_CACHE.foldBits) ^ (space << JUMP_CACHE.spaceShift)) & (JUMP_CACHE.entries - 1)) *
  JUMP_CACHE.entryBytes;

/** Why generated code returned to the run loop. */
export const ExitReason = {
  none: 0,
  /** `rip` has no known entry point. */
  lookup: 1,
  /** Space in the columns or fuel is short. */
  drain: 2,
  /** A system instruction; `exitSite` says which. */
  system: 3,
  /** A fault at `exitSite` with the vector in `exitVector`, error code 0 or none. */
  fault: 4,
  /** The instruction at `exitSite` must be run by a careful function. */
  careful: 5,
  /** The timer of user-mode instructions is due. */
  timer: 6,
  /** An exception was raised by a helper and is described in the machine. */
  raised: 7,
  /** A careful function stops after `exitSite`. */
  stepped: 8,
  /** An interrupt waits and IF was just set. */
  interrupt: 9,
  /** A helper has entered a handler of the guest: on at rip. */
  delivered: 10,
  /** An interrupt is to be taken at rip. */
  interruptible: 11,
} as const;

const upperCase = (name: string): string => name.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();

const prefixed = (prefix: string, values: Readonly<Record<string, number>>): [string, number][] =>
  Object.entries(values).map(([name, value]) => [`${prefix}_${upperCase(name)}`, value]);

/** Every number that assembly/ shares with this file, by the name it has there. */
export const assemblyConstants = (): ReadonlyMap<string, number> =>
  new Map([
    ...prefixed('STATE', STATE),
    ...prefixed('REGION', REGION),
    ...prefixed('TLB', TLB),
    ...prefixed('JUMP_CACHE', JUMP_CACHE),
    ...prefixed('SITE', SITE_TABLE),
    ...prefixed('ACCESS', ACCESS),
    ...prefixed('OPERATION', OPERATION),
    ...prefixed('EXIT', ExitReason),
    ['FAR_AWAY', FAR_AWAY],
    ['FIRST_VECTOR', FIRST_VECTOR],
    ['SPACES', SPACES.count],
    ['SPACE_BYTES', SPACES.bytes],
    ['EXTRA_LIMIT', REGION.extras + 4 * (COLUMNS.extras.entries - COLUMNS.extras.guard)],
  ]);
