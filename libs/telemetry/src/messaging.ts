import {
  type Attributes,
  context,
  createContextKey,
  type Link,
  ROOT_CONTEXT,
  SpanKind,
  trace,
} from '@opentelemetry/api';
import { measureProcessing, measureSending } from './metrics.js';
import { CLOUD_EVENTS, MESSAGING } from './names.js';
import { contextOf, inSpan, type Links, linksTo, traceparentOf, tracer } from './spans.js';

/** What moves the messages; `messaging.system`. */
export type MessagingSystem = 'kafka' | 'sqlite' | 'memory';

type Headers = Readonly<Record<string, string>>;
type Outgoing = { readonly key: string; readonly value: Uint8Array; readonly headers: Headers };
type Incoming = Outgoing & { readonly topic: string; readonly partition: number; readonly offset: number };

/**
 * Publishes messages that carry the context of a producer span in their `traceparent` header. One message has a span `send`; several have
 * a span `create` each and one `send` with links to them. A `traceparent` that a message already has is its span's parent, else the active
 * span is.
 */
export const sending = async <M extends Outgoing, T>(
  system: MessagingSystem,
  topic: string,
  messages: readonly M[],
  publish: (messages: readonly M[]) => Promise<T>,
): Promise<T> => {
  const [only, ...others] = messages;
  if (only === undefined) return publish(messages);
  const base = { [MESSAGING.system]: system, [MESSAGING.destination]: topic };
  const operation = { ...base, ...operationOf('send') };
  const measured = (sent: readonly M[]) => measureSending(operation, sent.length, () => publish(sent));
  if (others.length === 0) {
    const { span, parent, message } = produce('send', { ...operation, ...attributesOf(only) }, topic, only);
    return inSpan(span, parent, () => measured([message]));
  }
  const created = messages.map((message) =>
    produce('create', { ...base, ...operationOf('create'), ...attributesOf(message) }, topic, message),
  );
  for (const { span } of created) span.end();
  const send = tracer().startSpan(`send ${topic}`, {
    kind: SpanKind.CLIENT,
    attributes: { ...operation, [MESSAGING.batchSize]: messages.length },
    links: created.map(({ span }) => ({ context: span.spanContext() })),
  });
  return inSpan(send, context.active(), () => measured(created.map(({ message }) => message)));
};

/**
 * Handles one message in a consumer span below its producer's span, also linked to it and to the batch in which it came.
 * @param links further spans that led here
 */
export const processing = <T>(message: Incoming, work: () => Promise<T>, links: Links = []): Promise<T> => {
  const parent = contextOf(message.headers.traceparent);
  const attributes = incoming(message);
  const batch = context.active().getValue(BATCH) as Link | undefined;
  const span = tracer().startSpan(
    `process ${message.topic}`,
    {
      kind: SpanKind.CONSUMER,
      attributes: { ...attributes, ...attributesOf(message), [MESSAGING.offset]: message.offset },
      links: [...linksTo(parent), ...(batch === undefined ? [] : [batch]), ...links],
    },
    parent,
  );
  return inSpan(span, parent, () => measureProcessing(attributes, work));
};

/** Handles a batch in a consumer span that is a trace of its own, because its messages may come from many; it is linked to all of them. */
export const processingBatch = <T>(messages: readonly Incoming[], work: () => Promise<T>): Promise<T> => {
  const [first] = messages;
  if (first === undefined) return work();
  const span = tracer().startSpan(`process ${first.topic}`, {
    kind: SpanKind.CONSUMER,
    attributes: { ...incoming(first), [MESSAGING.batchSize]: messages.length },
    links: messages.flatMap(({ headers }) => linksTo(contextOf(headers.traceparent))),
    root: true,
  });
  const here = context.active().setValue(BATCH, { context: span.spanContext() } satisfies Link);
  return inSpan(span, here, work);
};

/** Delivers messages: what is done meanwhile knows their system and belongs to no other trace. */
export const delivering = <T>(system: MessagingSystem, handle: () => T): T =>
  context.with(ROOT_CONTEXT.setValue(SYSTEM, system), handle);

const SYSTEM = createContextKey('system that delivered a message');
const BATCH = createContextKey('batch in which a message came');

const operationOf = (name: 'create' | 'send' | 'process'): Attributes => ({
  [MESSAGING.operationName]: name,
  [MESSAGING.operationType]: name,
});

/** What identifies the destination and the partition, for spans and metrics. */
const incoming = ({ topic, partition }: Incoming): Attributes => ({
  ...operationOf('process'),
  [MESSAGING.system]: context.active().getValue(SYSTEM) as MessagingSystem | undefined,
  [MESSAGING.destination]: topic,
  [MESSAGING.partition]: String(partition),
});

const attributesOf = ({ key, value, headers }: Outgoing): Attributes => ({
  [MESSAGING.key]: key,
  [MESSAGING.messageId]: headers.ce_id,
  [MESSAGING.bodySize]: value.byteLength,
  [CLOUD_EVENTS.id]: headers.ce_id,
  [CLOUD_EVENTS.type]: headers.ce_type,
  [CLOUD_EVENTS.subject]: headers.ce_subject,
  [CLOUD_EVENTS.source]: headers.ce_source,
});

/** Starts the producer span of a message and writes its context into the message. */
const produce = <M extends Outgoing>(name: 'send' | 'create', attributes: Attributes, topic: string, message: M) => {
  const { traceparent: given } = message.headers;
  const parent = given === undefined ? context.active() : contextOf(given);
  const span = tracer().startSpan(`${name} ${topic}`, { kind: SpanKind.PRODUCER, attributes }, parent);
  const traceparent = traceparentOf(trace.setSpan(parent, span));
  const carried = traceparent === undefined ? message : { ...message, headers: { ...message.headers, traceparent } };
  return { span, parent, message: carried };
};
