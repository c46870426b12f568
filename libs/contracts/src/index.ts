export { type Envelope, type Event, eventIdOf } from './event.js';
export { RECORD_TYPES } from './events/guest-events.js';
export { SITE_OUTCOMES, SITE_REASONS } from './events/patch-events.js';
export {
  type AnyEvent,
  EVENT_TYPES,
  type EventOf,
  type EventTypeName,
  makeEvent,
  type Occurrence,
  type PayloadOf,
  parseEvent,
  topicOf,
} from './events.js';
export {
  type CacheGeometry,
  type Costs,
  cacheGeometrySchema,
  costsSchema,
  expandFleet,
  type FleetSpec,
  type FleetSpecInput,
  fleetSpecSchema,
  type GuestSpec,
  type GuestSpecInput,
  guestSpecSchema,
  oneOf,
  parseFleetSpec,
  parseGuestSpec,
  parseInput,
} from './fleet.js';
export { type GuestId, guestIdOf, guestIdSchema, type RunId, runIdOf, runIdSchema } from './ids.js';
export {
  type ChunkProduced,
  chunkProducedSchema,
  fromChunkMessage,
  fromMessage,
  type Message,
  toChunkMessage,
  toMessage,
} from './message.js';
export { deadTopicOf, type EventTopic, TOPICS, type Topic } from './topics.js';
export {
  CPUS,
  type Cpu,
  defaultPaging,
  FOOTPRINTS,
  type Footprint,
  GUEST_BITS,
  GUEST_TYPES,
  type GuestType,
  PAGINGS,
  type Paging,
  STAGES,
  type Stage,
  WORKLOADS,
  type Workload,
} from './vocabulary.js';
