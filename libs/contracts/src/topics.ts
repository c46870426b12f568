/**
 * The four topics. Everything about one key stays in order; nothing is promised across keys.
 * runs: key run id. guests, patches, trace: key guest id. trace carries binary chunks, the others JSON events.
 */
export const TOPICS = {
  runs: 'pvtrail.runs.v1',
  guests: 'pvtrail.guests.v1',
  patches: 'pvtrail.patches.v1',
  trace: 'pvtrail.trace.v1',
} as const;

export type EventTopic = (typeof TOPICS)['runs' | 'guests' | 'patches'];
export type Topic = (typeof TOPICS)[keyof typeof TOPICS];

/** Where messages of a topic go that no retry can handle; keys and values unchanged, the error in headers. */
export const deadTopicOf = <T extends string>(topic: T): `${T}.dead` => `${topic}.dead`;
