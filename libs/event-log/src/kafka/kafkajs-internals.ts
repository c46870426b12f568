import { createRequire } from 'node:module';
import type { Kafka } from 'kafkajs';

// kafkajs 2.2.4 (pinned) has no public call to read a partition without joining a group. These are the parts of its inside that do.

/** A record as a fetch decodes it; control records of transactions have no content. */
export type FetchedMessage = {
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly isControlRecord?: boolean;
};

type FetchedPartition = {
  readonly partition: number;
  readonly highWatermark: string;
  /** The log start offset; the name is kafkajs's. */
  readonly lastStartOffset?: string;
  readonly messages: readonly FetchedMessage[];
};

type FetchRequest = {
  readonly replicaId: number;
  readonly isolationLevel: number;
  readonly maxWaitTime: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly topics: readonly {
    topic: string;
    partitions: readonly { partition: number; fetchOffset: string; maxBytes: number }[];
  }[];
};

type Broker = {
  offsetCommit(request: {
    readonly groupId: string;
    /** −1 and '' for whoever is no member. */
    readonly groupGenerationId: number;
    readonly memberId: string;
    readonly topics: readonly { topic: string; partitions: readonly { partition: number; offset: string }[] }[];
  }): Promise<unknown>;
  fetch(request: FetchRequest): Promise<{
    readonly responses: readonly { readonly partitions: readonly FetchedPartition[] }[];
  }>;
};

export type Cluster = {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  removeBroker(address: { host: string; port: number }): void;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[];
  findGroupCoordinator(group: { groupId: string }): Promise<Broker>;
  findBroker(node: { nodeId: string }): Promise<Broker>;
  fetchTopicsOffset(
    topics: readonly { topic: string; partitions: readonly { partition: number }[]; fromBeginning: boolean }[],
  ): Promise<readonly { topic: string; partitions: readonly { partition: number; offset: string }[] }[]>;
};

type ClusterFactory = (options: { metadataMaxAge: number; allowAutoTopicCreation: boolean }) => Cluster;

/** Connections of their own to the cluster that `kafka` describes. */
export const createCluster = (kafka: Kafka): Cluster => {
  const members = kafka as unknown as Record<symbol, unknown>;
  const [factory] = Object.getOwnPropertySymbols(members).filter(
    ({ description }) => description === 'private:Kafka:createCluster',
  );
  if (factory === undefined) throw new Error('kafkajs is not the version that this program is written for');
  return (members[factory] as ClusterFactory)({ metadataMaxAge: 300_000, allowAutoTopicCreation: false });
};

type RequestQueue = {
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  readonly pending: readonly unknown[];
  checkPendingRequests(): void;
};

/** How often kafkajs looks for requests that wait for a free place, in ms. */
const CHECK_PENDING_MS = 10;

/**
 * On Node 24 each connection of kafkajs prints TimeoutNegativeWarning, because it asks for a timer at `throttledUntil`, which is −1
 * when there is no throttling; and asks again when that fires, a thousand times a second for as long as the connection lives.
 * This sets a timer only while a request waits.
 */
export const patchRequestTimers = (): void => {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as {
    prototype: RequestQueue & { scheduleCheckPendingRequests(): void };
  };
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.throttleCheckTimeoutId || this.pending.length === 0) return;
    const delayMs = Math.max(CHECK_PENDING_MS, this.throttledUntil - Date.now());
    this.throttleCheckTimeoutId = setTimeout(() => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    }, delayMs);
  };
};
