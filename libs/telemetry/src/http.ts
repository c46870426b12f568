import type { EventEmitter } from 'node:events';
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { measureRequest } from './metrics.js';
import { HTTP, MESSAGING } from './names.js';
import { contextOf, tracer } from './spans.js';

/** What is needed of a request as Express has it. */
type Request = {
  readonly method: string;
  readonly path: string;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  /** Known once the request has been routed. */
  readonly route?: { readonly path: string } | undefined;
};
type Response = EventEmitter & { readonly statusCode: number };

const FIRST_ERROR_STATUS = 500;

/** Middleware: each request is a server span, below the caller's span if the request has a `traceparent`. It ends with the response. */
export const tracedRequests =
  () =>
  (request: Request, response: Response, next: () => void): void => {
    const { method, headers, path } = request;
    const parent = contextOf(typeof headers.traceparent === 'string' ? headers.traceparent : undefined);
    const attributes = { [HTTP.method]: method, [HTTP.path]: path };
    const span = tracer().startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
    const start = performance.now();
    response.once('close', () => {
      const outcome = outcomeOf(request.route?.path, response.statusCode);
      if (HTTP.route in outcome) span.updateName(`${method} ${outcome[HTTP.route]}`);
      if (response.statusCode >= FIRST_ERROR_STATUS) span.setStatus({ code: SpanStatusCode.ERROR });
      span.setAttributes(outcome).end();
      measureRequest(start, { [HTTP.method]: method, ...outcome });
    });
    context.with(trace.setSpan(parent, span), next);
  };

const outcomeOf = (route: string | undefined, status: number) => ({
  [HTTP.status]: status,
  ...(route === undefined ? {} : { [HTTP.route]: route }),
  ...(status >= FIRST_ERROR_STATUS ? { [MESSAGING.errorType]: String(status) } : {}),
});
