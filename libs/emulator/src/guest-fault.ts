/** Exception vectors (SDM vol. 3A §6.3.1). */
export const Vector = {
  divideError: 0,
  debug: 1,
  breakpoint: 3,
  overflow: 4,
  undefinedOpcode: 6,
  doubleFault: 8,
  invalidTss: 10,
  segmentNotPresent: 11,
  stackFault: 12,
  generalProtection: 13,
  pageFault: 14,
  alignmentCheck: 17,
} as const;

/** An exception that the guest's current instruction raises. Thrown by helpers, caught by the run loop. */
export class GuestFault {
  readonly vector: number;
  readonly errorCode: number;
  /** Halves of the address that goes to CR2, for page faults. */
  readonly low: number;
  readonly high: number;

  constructor(vector: number, errorCode = 0, low = 0, high = 0) {
    this.vector = vector;
    this.errorCode = errorCode;
    this.low = low;
    this.high = high;
  }
}

const VECTOR_NAMES = new Map<number, string>([
  [Vector.divideError, '#DE'],
  [Vector.undefinedOpcode, '#UD'],
  [7, '#NM'],
  [Vector.doubleFault, '#DF'],
  [Vector.invalidTss, '#TS'],
  [Vector.segmentNotPresent, '#NP'],
  [Vector.stackFault, '#SS'],
  [Vector.generalProtection, '#GP'],
  [Vector.pageFault, '#PF'],
  [Vector.alignmentCheck, '#AC'],
]);

/** The manuals' name of an exception: `#UD`. */
export const vectorName = (vector: number): string => VECTOR_NAMES.get(vector) ?? `exception ${vector}`;

const WITH_ERROR_CODE = new Set<number>([8, 10, 11, 12, 13, 14, 17]);

export const hasErrorCode = (vector: number): boolean => WITH_ERROR_CODE.has(vector);

/** The guest cannot go on; `message` says why. */
export class GuestStopped extends Error {
  constructor(
    readonly code: 'guest/failed' | 'guest/deadlock' | 'guest/budget-exhausted',
    message: string,
  ) {
    super(message);
  }
}

/** The guest does something legal that this machine cannot do. */
export const lacks = (what: string): GuestStopped =>
  new GuestStopped('guest/failed', `the guest ${what}, which this machine lacks`);
