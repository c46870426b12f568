import { parseArgs } from 'node:util';
import { AppError } from '@pvtrail/primitives';
import { startLocalBroker } from './local-broker.js';

const HELP = `Usage: npm run kafka:local -- [options]

Runs a single Kafka node on loopback until Ctrl-C and prints its address. Needs Java 17 or later and Maven.

  --data <folder>   its log segments and its own log (default: .pvtrail/kafka)
  --port <n>        for clients (default: any that is free)
  -h, --help
`;
const USAGE = 2;

const optionsOf = () => {
  const { values } = parseArgs({
    options: {
      data: { type: 'string', default: '.pvtrail/kafka' },
      port: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536))
    throw new TypeError(`no port: ${values.port}`);
  return { folder: values.data, port, help: values.help };
};

const serve = async (folder: string, port: number | undefined): Promise<void> => {
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  const broker = await startLocalBroker({ folder, port });
  process.stdout.write(`${broker.bootstrap}\n`);
  process.stderr.write(`Kafka listens on ${broker.bootstrap}; its data are in ${folder}. Ctrl-C stops it.\n`);
  await stopped;
  await broker.stop();
};

const fail = (message: string, status: number): void => {
  process.stderr.write(`pvtrail: ${message}\n`);
  process.exitCode = status;
};

try {
  const { folder, port, help } = optionsOf();
  if (help) process.stdout.write(HELP);
  else await serve(folder, port);
} catch (error) {
  if (error instanceof AppError) fail(`${error.code}: ${error.message}`, 1);
  else if (error instanceof TypeError) fail(`${error.message}\n${HELP}`, USAGE);
  else throw error;
}
