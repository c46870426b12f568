import {
  type Context,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { errorAttributes } from './error-attributes.js';
import { measureStep } from './metrics.js';
import { fullNames, type SpanAttributes, type SpanName } from './names.js';

const SCOPE = 'pvtrail';

/** Asked for each time: the provider may be registered after this module has been loaded. */
export const tracer = (): Tracer => trace.getTracer(SCOPE);

/**
 * Does a step of the work in a span below the active one, and measures it. What it rejects with is noted, and goes on.
 * @param links other spans that led here
 */
export const withSpan = <T>(
  name: SpanName,
  attributes: SpanAttributes,
  work: () => Promise<T>,
  links: Links = [],
): Promise<T> => {
  const options = { kind: SpanKind.INTERNAL, attributes: fullNames(attributes), links: [...links] };
  return inSpan(tracer().startSpan(name, options), context.active(), () => measureStep(name, work));
};

/** Goes on with the trace that a `traceparent` names, as after a restart; without one the work begins a trace of its own. */
export const continuing = <T>(traceparent: string | undefined, work: () => T): T =>
  context.with(contextOf(traceparent), work);

/** Attributes for the active span that are known only after it began. */
export const annotate = (attributes: SpanAttributes): void => {
  trace.getActiveSpan()?.setAttributes(fullNames(attributes));
};

/** Makes a span the active one during the work and ends it then. */
export const inSpan = async <T>(span: Span, parent: Context, work: () => Promise<T>): Promise<T> => {
  try {
    return await context.with(trace.setSpan(parent, span), work);
  } catch (error) {
    span.setAttributes(errorAttributes(error));
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    span.end();
  }
};

/** Other spans that led to one. */
export type Links = readonly Link[];

/** To the active span; none while telemetry is off. */
export const linksHere = (): Links => linksTo(context.active());

export const linksTo = (of: Context): Link[] => {
  const spanContext = trace.getSpanContext(of);
  return spanContext === undefined ? [] : [{ context: spanContext }];
};

/** The W3C `traceparent` of the active span; undefined while telemetry is off. */
export const currentTraceparent = (): string | undefined => traceparentOf(context.active());

export const traceparentOf = (of: Context): string | undefined => {
  const carrier: { traceparent?: string } = {};
  propagation.inject(of, carrier);
  return carrier.traceparent;
};

/** The context that a `traceparent` names, without anything of the active one. A malformed one counts as none. */
export const contextOf = (traceparent: string | undefined): Context =>
  traceparent === undefined ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent });
