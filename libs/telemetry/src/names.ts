/** The steps of the work, each a span. Ids are attributes, never parts of names. */
export type SpanName = 'run' | 'guest' | 'boot' | 'patch' | 'execute' | 'decide' | 'analyse' | 'insert';

/** Attributes of spans that are pvtrail's own, by the name under which callers give them. */
const ATTRIBUTES = {
  runId: 'pvtrail.run.id',
  guestId: 'pvtrail.guest.id',
  guestType: 'pvtrail.guest.type',
  bits: 'pvtrail.guest.bits',
  stage: 'pvtrail.guest.stage',
  workload: 'pvtrail.guest.workload',
  guests: 'pvtrail.guests',
  /** Place of a chunk in its guest's trace, from 0. */
  sequence: 'pvtrail.chunk.sequence',
  instructions: 'pvtrail.instructions',
  /** How a guest or a run ended. */
  state: 'pvtrail.state',
  /** Insert unit of the guest, from 0. */
  unit: 'pvtrail.unit',
} as const;

export type SpanAttributes = { readonly [K in keyof typeof ATTRIBUTES]?: string | number | boolean };

export const STEP = 'pvtrail.step';

/** The attributes under their full names. */
export const fullNames = (attributes: SpanAttributes): Record<string, string | number | boolean> =>
  Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [ATTRIBUTES[key as keyof typeof ATTRIBUTES], value]),
  );

/** OpenTelemetry's semantic conventions for messaging, version 1.45.0: in development there, so copied and not imported. */
export const MESSAGING = {
  system: 'messaging.system',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  group: 'messaging.consumer.group.name',
  destination: 'messaging.destination.name',
  partition: 'messaging.destination.partition.id',
  offset: 'messaging.kafka.offset',
  key: 'messaging.kafka.message.key',
  messageId: 'messaging.message.id',
  bodySize: 'messaging.message.body.size',
  batchSize: 'messaging.batch.message_count',
  errorType: 'error.type',
} as const;

/** Semantic conventions for HTTP, version 1.45.0. */
export const HTTP = {
  method: 'http.request.method',
  route: 'http.route',
  status: 'http.response.status_code',
  path: 'url.path',
} as const;

/** Semantic conventions for CloudEvents, version 1.45.0. */
export const CLOUD_EVENTS = {
  id: 'cloudevents.event_id',
  type: 'cloudevents.event_type',
  subject: 'cloudevents.event_subject',
  source: 'cloudevents.event_source',
} as const;

/** An instrument's name, its unit in UCUM, and what it measures. */
export type Instrument = readonly [name: string, unit: string, description: string];

/** Names that begin with `messaging` or `http` are those of the semantic conventions, version 1.45.0. */
export const INSTRUMENTS = {
  sentMessages: ['messaging.client.sent.messages', '{message}', 'Messages that the producer tried to send'],
  sendDuration: ['messaging.client.operation.duration', 's', 'Time to send messages'],
  consumedMessages: ['messaging.client.consumed.messages', '{message}', 'Messages delivered to the application'],
  processDuration: ['messaging.process.duration', 's', 'Time to process a message'],
  requestDuration: ['http.server.request.duration', 's', 'Time from a request to the end of its response'],
  consumerLag: ['pvtrail.consumer.lag', '{message}', 'Messages of a partition behind the last one handled'],
  stepDuration: ['pvtrail.step.duration', 's', 'Time that a step took, by the name of its span'],
  producedChunks: ['pvtrail.chunks.produced', '{chunk}', 'Trace chunks sent by the guest runner'],
  producedInstructions: ['pvtrail.instructions.produced', '{instruction}', 'Retired instructions in the chunks sent'],
  producedBytes: ['pvtrail.bytes.produced', 'By', 'Compressed size of the chunks sent'],
  analysedChunks: ['pvtrail.chunks.analysed', '{chunk}', 'Trace chunks that went through the simulator'],
  analysedInstructions: ['pvtrail.instructions.analysed', '{instruction}', 'Retired instructions analysed'],
  insertedUnits: ['pvtrail.units.inserted', '{unit}', 'Insert units stored'],
  chunkLag: ['pvtrail.chunk.lag', 's', 'Time from a chunk sent to its statistics stored'],
} as const satisfies Record<string, Instrument>;
