import net from 'node:net';

export type BrokerPorts = { readonly client: number; readonly controller: number };

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });

/** Two free ports on loopback; the client's may be given. */
export const freePorts = async (client?: number): Promise<BrokerPorts> => ({
  client: client ?? (await freePort()),
  controller: await freePort(),
});

/** `server.properties` of a single node that is broker and controller in one; `extra` wins. */
export const brokerProperties = (
  dataFolder: string,
  { client, controller }: BrokerPorts,
  extra: Readonly<Record<string, string>>,
): string => {
  const properties: Record<string, string | number> = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `CLIENT://127.0.0.1:${client},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${client}`,
    'inter.broker.listener.name': 'CLIENT',
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': dataFolder,
    // Topics are made on purpose, with their partitions and retention.
    'auto.create.topics.enable': 'false',
    // One node cannot hold the three replicas that these topics have by default.
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    // After kill -9 the broker cannot register again before its old session has expired: 9 s by default.
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    // The first member of a group does not wait for more.
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    // Chunks and event lists may be larger than the 1 MiB default.
    'message.max.bytes': 16 << 20,
    ...extra,
  };
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
};
