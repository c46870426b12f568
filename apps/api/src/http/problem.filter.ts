import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import { ThrottlerException } from '@nestjs/throttler';
import { AppError, ERROR_CODES, type ErrorCode } from '@pvtrail/primitives';
import type { Response } from 'express';

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'input/invalid',
  404: 'input/not-found',
  413: 'input/too-large',
  429: 'access/too-many-requests',
};

const INTERNAL = {
  status: 500,
  code: 'log/unhandled',
  detail: "an unexpected error; the service's log has it",
} as const;

interface Problem {
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
}

const problemOf = (error: unknown): Problem => {
  if (error instanceof AppError)
    return { status: ERROR_CODES[error.code].status, code: error.code, detail: error.message };
  if (error instanceof ThrottlerException)
    return { status: 429, code: 'access/too-many-requests', detail: 'too many requests' };
  // what express refuses before a controller sees it: unknown paths, broken JSON, large bodies
  const status = error instanceof HttpException ? error.getStatus() : statusOf(error);
  const code = BY_STATUS[status];
  return code === undefined ? INTERNAL : { status, code, detail: error instanceof Error ? error.message : code };
};

const statusOf = (error: unknown): number =>
  error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : INTERNAL.status;

/** Every error as problem+json (RFC 9457), with a code of docs/errors.md. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #logger = new Logger('api');

  catch(error: unknown, host: ArgumentsHost): void {
    const { status, code, detail } = problemOf(error);
    if (status >= 500) this.#logger.error(error);
    const response = host.switchToHttp().getResponse<Response>();
    if (response.headersSent) {
      response.end();
      return;
    }
    response
      .status(status)
      .type('application/problem+json')
      .send(JSON.stringify({ type: `urn:pvtrail:error:${code}`, title: code, status, code, detail }));
  }
}
