/** How topics are made that do not exist yet; an existing topic is left as it is. */
export type TopicSettings = {
  /** The key of a message chooses its partition, so this number must never change. */
  readonly partitions: number;
  readonly replicationFactor: number;
  /** −1 keeps records for ever, as event streams need: state is rebuilt from them. */
  readonly retentionMs: number;
  /** Upper bound of what one `publish` or `append` adds to a partition, compressed. */
  readonly maxMessageBytes: number;
  /** `none` for values that are compressed already. */
  readonly compression: 'none' | 'zstd';
};

export const DEFAULT_TOPIC_SETTINGS: TopicSettings = {
  partitions: 12,
  replicationFactor: 1,
  retentionMs: -1,
  maxMessageBytes: 16 << 20,
  compression: 'zstd',
};

export type GroupSettings = {
  /** A member that is not heard of for this long has left its group; the broker bounds it (6 s to 30 min by default). */
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** A member that has neither fetched nor joined for this long is taken for stuck and replaced. */
  readonly stallMs: number;
};

export const DEFAULT_GROUP_SETTINGS: GroupSettings = {
  sessionTimeoutMs: 30_000,
  heartbeatIntervalMs: 3_000,
  stallMs: 120_000,
};

/** A line of the client's log. What an operation fails with is thrown, so nothing here is above `warn`. */
export type KafkaLogEntry = {
  readonly level: 'warn' | 'info' | 'debug';
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
};

/** PEM texts; `ca` when the brokers' certificates are not signed by a public authority, `cert` and `key` for mutual TLS. */
export type TlsOptions = {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly passphrase?: string;
};

export type SaslOptions = {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
};

export type KafkaLogOptions = {
  /** `host:port` of some brokers; they name the others. */
  readonly brokers: readonly string[];
  /** Names this process in the brokers' logs and quotas. */
  readonly clientId: string;
  /** Put before the names of topics and groups, so that several systems can share a cluster; none unless given. */
  readonly prefix?: string;
  /** Plain connections unless given. */
  readonly tls?: TlsOptions;
  /** No authentication unless given. */
  readonly sasl?: SaslOptions;
  /** Over DEFAULT_TOPIC_SETTINGS. */
  readonly topics?: Partial<TopicSettings>;
  /** By topic name, over `topics`. */
  readonly topicsByName?: Readonly<Record<string, Partial<TopicSettings>>>;
  /** Over DEFAULT_GROUP_SETTINGS. */
  readonly groups?: Partial<GroupSettings>;
  /** Takes what the client logs; dropped unless given. */
  readonly onLog?: (entry: KafkaLogEntry) => void;
};
