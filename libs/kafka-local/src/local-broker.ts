import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { brokerJars } from './broker-jars.js';
import { BrokerProcess, runBrokerTool } from './broker-process.js';
import { brokerProperties, freePorts } from './broker-properties.js';
import { requireBrokerTools } from './tools.js';

export type LocalBrokerOptions = {
  /** Holds log segments, `server.properties` and `broker.log`; made when missing, used on when it has data. */
  readonly folder: string;
  /** For clients, on loopback; a free one unless given. */
  readonly port?: number | undefined;
  /** Java heap in MiB; 256 unless given. */
  readonly heapMiB?: number;
  /** Broker settings over the defaults. */
  readonly properties?: Readonly<Record<string, string>>;
};

/** A single Kafka node on this machine, in a process of its own that dies with this one. */
export interface LocalBroker {
  /** `host:port` for clients. */
  readonly bootstrap: string;
  /** Of the Java process now running. */
  readonly pid: number;
  /** Resolves when all is on disk and the process has ended. */
  stop(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  /** After stop or kill: starts again on the same port and data. */
  restart(): Promise<void>;
}

const DEFAULT_HEAP_MIB = 256;

const format = async (jars: string, folder: string, propertiesFile: string): Promise<void> => {
  if (fs.existsSync(path.join(folder, 'meta.properties'))) return;
  // A cluster id is 16 random bytes in base64url (StorageTool random-uuid).
  const clusterId = randomBytes(16).toString('base64url').replace(/^-/, 'A');
  await runBrokerTool(jars, ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', propertiesFile]);
};

/** @throws AppError `broker/missing-tool` without Java or Maven, `broker/not-started` */
export const startLocalBroker = async (options: LocalBrokerOptions): Promise<LocalBroker> => {
  requireBrokerTools();
  const jars = await brokerJars();
  const folder = path.resolve(options.folder);
  const data = path.join(folder, 'data');
  const propertiesFile = path.join(folder, 'server.properties');
  const ports = await freePorts(options.port);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(propertiesFile, brokerProperties(data, ports, options.properties ?? {}));
  await format(jars, data, propertiesFile);
  const start = () =>
    BrokerProcess.start(jars, propertiesFile, options.heapMiB ?? DEFAULT_HEAP_MIB, path.join(folder, 'broker.log'));
  let broker = await start();
  return {
    bootstrap: `127.0.0.1:${ports.client}`,
    get pid() {
      return broker.pid;
    },
    stop: () => broker.stop(),
    kill: () => broker.kill(),
    restart: async () => {
      broker = await start();
    },
  };
};
