/** ClickHouse's codes of what the server itself refuses. */
export const REFUSALS = {
  SYNTAX_ERROR: { code: 62, status: 400 },
  NOT_IMPLEMENTED: { code: 48, status: 501 },
  BAD_ARGUMENTS: { code: 36, status: 400 },
  CANNOT_DECOMPRESS: { code: 271, status: 400 },
  TOO_MANY_SIMULTANEOUS_QUERIES: { code: 202, status: 503 },
  TOO_MANY_BYTES: { code: 307, status: 413 },
  ACCESS_DENIED: { code: 497, status: 403 },
  AUTHENTICATION_FAILED: { code: 516, status: 403 },
  UNKNOWN_SETTING: { code: 115, status: 404 },
} as const;

/** What a client gets instead of an answer, as ClickHouse words it. */
export class ProtocolError extends Error {
  readonly code: number;
  readonly status: number;

  constructor(type: keyof typeof REFUSALS, message: string) {
    const { code, status } = REFUSALS[type];
    super(`Code: ${code}. DB::Exception: ${message}. (${type})`);
    this.name = 'ProtocolError';
    this.code = code;
    this.status = status;
  }
}

/** As ClickHouse's HTTP handler answers (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp), in the cases that matter here. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  36: 400,
  47: 404,
  60: 404,
  62: 400,
  81: 404,
  115: 404,
  164: 403,
};

const codeWithin = (error: Error): number =>
  'clickhouseCode' in error && typeof error.clickhouseCode === 'number' ? error.clickhouseCode : 1001;

/** Status, code and text of any failure: the server's own, the engine's (which say their code), a full disk, or a defect. */
export const failureReply = (error: unknown): { status: number; code: number; text: string } => {
  if (error instanceof ProtocolError) return { status: error.status, code: error.code, text: error.message };
  if (!(error instanceof Error)) return { status: 500, code: 1001, text: String(error) };
  if ('code' in error && error.code === 'ENOSPC') {
    return { status: 500, code: 243, text: `Code: 243. DB::Exception: ${error.message}. (NOT_ENOUGH_SPACE)` };
  }
  const code = codeWithin(error);
  return { status: STATUS_OF_CODE[code] ?? 500, code, text: error.message };
};
