/**
 * Every expected failure has a code here and a heading in docs/errors.md (a test compares the two).
 * status: the HTTP status an API answers with. retriable: the same call may succeed later without a change.
 */
export const ERROR_CODES = {
  'input/invalid': { status: 400, retriable: false },
  'input/invalid-hex': { status: 400, retriable: false },
  'input/unknown-guest': { status: 400, retriable: false },
  'input/unknown-stage': { status: 400, retriable: false },
  'input/unknown-workload': { status: 400, retriable: false },
  'input/unknown-option': { status: 400, retriable: false },
  'input/unsupported-combination': { status: 400, retriable: false },
  'input/too-large': { status: 413, retriable: false },
  'input/too-complex': { status: 422, retriable: false },
  'input/not-found': { status: 404, retriable: false },
  'access/unauthorized': { status: 401, retriable: false },
  'access/too-many-requests': { status: 429, retriable: true },
  'config/invalid': { status: 500, retriable: false },
  'elf/malformed': { status: 400, retriable: false },
  'elf/too-large': { status: 413, retriable: false },
  'elf/unsupported': { status: 400, retriable: false },
  'image/missing': { status: 500, retriable: false },
  'image/corrupt': { status: 500, retriable: false },
  'patch/before-mismatch': { status: 409, retriable: false },
  'patch/outside-image': { status: 409, retriable: false },
  'patch/unknown-set': { status: 409, retriable: false },
  'patch/rule-violation': { status: 409, retriable: false },
  'guest/failed': { status: 500, retriable: false },
  'guest/deadlock': { status: 500, retriable: false },
  'guest/budget-exhausted': { status: 500, retriable: false },
  'guest/digest-mismatch': { status: 500, retriable: false },
  'trace/corrupt-chunk': { status: 400, retriable: false },
  'trace/truncated-chunk': { status: 400, retriable: false },
  'trace/unsupported-version': { status: 400, retriable: false },
  'trace/too-large': { status: 413, retriable: false },
  'trace/discontinuous': { status: 409, retriable: false },
  'analysis/unclassified-save': { status: 500, retriable: false },
  'event/unknown-version': { status: 400, retriable: false },
  'event/malformed': { status: 400, retriable: false },
  'log/concurrency': { status: 409, retriable: true },
  'log/unavailable': { status: 503, retriable: true },
  'log/locked': { status: 503, retriable: true },
  'log/disk-full': { status: 507, retriable: true },
  'log/too-large': { status: 413, retriable: false },
  'log/unhandled': { status: 500, retriable: false },
  'broker/missing-tool': { status: 500, retriable: false },
  'broker/not-started': { status: 500, retriable: false },
  'store/unavailable': { status: 503, retriable: true },
  'store/locked': { status: 503, retriable: true },
  'store/disk-full': { status: 507, retriable: true },
  'store/query-failed': { status: 500, retriable: false },
  'store/schema-mismatch': { status: 500, retriable: false },
  'server/unreachable': { status: 503, retriable: true },
  'run/unknown': { status: 404, retriable: false },
  'run/ended': { status: 409, retriable: false },
  'run/failed': { status: 500, retriable: false },
} as const satisfies Record<string, { status: number; retriable: boolean }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An expected failure: says what happened and, in `message`, what to do. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'AppError';
    this.code = code;
    this.details = details;
  }
}
