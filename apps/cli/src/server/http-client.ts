import { AppError, ERROR_CODES, type ErrorCode } from '@pvtrail/primitives';

type Query = Readonly<Record<string, string | number | undefined>>;

interface Problem {
  readonly code: ErrorCode;
  readonly detail: string;
}

const isProblem = (body: unknown): body is Problem =>
  typeof body === 'object' && body !== null && 'code' in body && String(body.code) in ERROR_CODES && 'detail' in body;

/** Talks JSON to the API; its problems become the errors that they stand for. */
export class HttpClient {
  readonly #base: URL;
  readonly #token: string | undefined;

  /** @throws AppError `input/invalid` for what is no http URL */
  constructor(url: string, token: string | undefined) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new AppError('input/invalid', `--server takes an http or https URL, not '${url}'`);
    }
    this.#base = new URL(url);
    this.#token = token;
  }

  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#send('GET', path, query);
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.#send('POST', path, {}, body);
  }

  delete<T>(path: string): Promise<T> {
    return this.#send('DELETE', path, {});
  }

  async #send<T>(method: string, path: string, query: Query, body?: unknown): Promise<T> {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const response = await this.#fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json().catch(() => undefined);
    if (response.ok && answer !== undefined) return answer as T;
    if (isProblem(answer)) throw new AppError(answer.code, answer.detail);
    throw new AppError('server/unreachable', `${url.origin} answered ${response.status}: it is no pvtrail API`);
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    try {
      return await fetch(url, init);
    } catch (error) {
      throw new AppError('server/unreachable', `${url.origin} cannot be reached`, {}, error);
    }
  }
}
