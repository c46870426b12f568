import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { AppError } from '@pvtrail/primitives';
import { readConfiguredFile } from '@pvtrail/primitives/node';
import type { Request } from 'express';

/** Whether only this machine reaches the address. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host.startsWith('127.') || (isIPv6(host) && host === '::1');

const MIN_TOKEN_LENGTH = 16;

/**
 * The token that the API demands: from PVTRAIL_API_TOKEN_FILE or PVTRAIL_API_TOKEN; undefined for none.
 * @throws AppError `config/invalid` when the API would be reachable from elsewhere without one
 */
export const tokenFrom = (
  environment: Readonly<Record<string, string | undefined>>,
  host: string,
): string | undefined => {
  const { PVTRAIL_API_TOKEN: given, PVTRAIL_API_TOKEN_FILE: file } = environment;
  if (given !== undefined && file !== undefined)
    throw new AppError('config/invalid', 'PVTRAIL_API_TOKEN_FILE: either this or PVTRAIL_API_TOKEN');
  const token = file === undefined ? given : readConfiguredFile('PVTRAIL_API_TOKEN_FILE', file).toString('utf8').trim();
  if (token === undefined && !isLoopback(host)) {
    throw new AppError(
      'config/invalid',
      `PVTRAIL_API_TOKEN_FILE: required, because PVTRAIL_HTTP_HOST=${host} is reachable from other machines`,
    );
  }
  if (token !== undefined && token.length < MIN_TOKEN_LENGTH)
    throw new AppError('config/invalid', `PVTRAIL_API_TOKEN: at least ${MIN_TOKEN_LENGTH} characters`);
  return token;
};

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Lets requests pass that carry the token; all of them when none is demanded. Takes the same time for any wrong token. */
@Injectable()
export class TokenGuard implements CanActivate {
  readonly #wanted: Buffer | undefined;

  constructor(token: string | undefined) {
    this.#wanted = token === undefined ? undefined : digestOf(token);
  }

  canActivate(context: ExecutionContext): boolean {
    if (this.#wanted === undefined) return true;
    const { authorization = '' } = context.switchToHttp().getRequest<Request>().headers;
    const given = /^Bearer (.+)$/i.exec(authorization)?.[1] ?? '';
    if (timingSafeEqual(digestOf(given), this.#wanted)) return true;
    throw new AppError('access/unauthorized', 'a bearer token is demanded, and this is not it');
  }
}
