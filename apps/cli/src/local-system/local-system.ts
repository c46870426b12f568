import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startLocalBroker } from '@pvtrail/kafka-local';
import { SupervisedProcess } from './supervised-process.js';

export interface LocalSystemOptions {
  /** Holds the broker's and the store's data, and the logs of all. */
  readonly dataFolder: string;
  /** Of the API, on loopback; 0: any that is free. */
  readonly port: number;
  /** Worker threads of the guest runner, and of the analytics service; their own default unless given. */
  readonly workers?: number | undefined;
  /** Told what happens to the processes. */
  readonly note: (line: string) => void;
}

export interface LocalSystem {
  readonly api: string;
  readonly broker: string;
  readonly store: string;
  /** Of the processes now running, the broker's included. */
  pids(): Readonly<Record<string, number>>;
  /** Stops services first, so that what they do is finished, then store and broker. */
  stop(): Promise<void>;
}

/** In the order in which they are started. */
const SERVICES = ['patcher', 'analytics', 'guest-runner', 'api'] as const;
type Service = (typeof SERVICES)[number];

const scriptOf = (service: Service): string =>
  fileURLToPath(new URL('./main.js', import.meta.resolve(`@pvtrail/${service}`)));

const STORE_SCRIPT = fileURLToPath(new URL('./local-server/main.js', import.meta.resolve('@pvtrail/column-store')));

const freePort = async (): Promise<number> => {
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

const answers = async (url: string): Promise<boolean> => {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
};

/**
 * The whole system on this machine: Kafka, a store, and every service, each a process of its own. Services and store that end by
 * themselves are started again.
 * @throws AppError `broker/*`, `run/failed` for a process that could not be started
 */
export const startLocalSystem = async (options: LocalSystemOptions): Promise<LocalSystem> => {
  const { dataFolder, note, workers } = options;
  const logs = path.join(dataFolder, 'logs');
  const stops: (() => Promise<void>)[] = [];
  const processes: SupervisedProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const task of stops.splice(0).reverse()) await task();
  };
  try {
    const broker = await startLocalBroker({ folder: path.join(dataFolder, 'kafka') });
    stops.push(() => broker.stop());
    const storePort = await freePort();
    const store = `http://127.0.0.1:${storePort}`;
    const args = ['--data', path.join(dataFolder, 'store'), '--port', String(storePort)];
    const ready = () => answers(`${store}/ping`);
    const storeProcess = await SupervisedProcess.start(
      { name: 'store', script: STORE_SCRIPT, args, environment: {}, logs, ready },
      note,
    );
    stops.push(() => storeProcess.stop());
    processes.push(storeProcess);
    let api = '';
    const startService = async (name: Service): Promise<SupervisedProcess> => {
      const port = name === 'api' && options.port > 0 ? options.port : await freePort();
      const url = `http://127.0.0.1:${port}`;
      if (name === 'api') api = url;
      const environment = {
        KAFKA_BROKERS: broker.bootstrap,
        CLICKHOUSE_URL: store,
        PVTRAIL_HTTP_PORT: String(port),
        ...(workers === undefined ? {} : { PVTRAIL_WORKERS: String(workers) }),
      };
      const ready = () => answers(`${url}/health/ready`);
      return SupervisedProcess.start({ name, script: scriptOf(name), environment, logs, ready }, note);
    };
    const services = await Promise.all(SERVICES.map(startService));
    stops.push(async () => void (await Promise.all(services.map((service) => service.stop()))));
    processes.push(...services);
    return {
      api,
      broker: broker.bootstrap,
      store,
      pids: () => Object.fromEntries([['kafka', broker.pid], ...processes.map(({ name, pid }) => [name, pid])]),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
