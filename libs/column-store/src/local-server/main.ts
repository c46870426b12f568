import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { AppError } from '@pvtrail/primitives';
import { LocalServer } from './local-server.js';

const HELP = `Usage: npm run store:local -- [options]

Serves ClickHouse's HTTP protocol on loopback from an embedded engine, for several processes of this machine.

  --data <folder>   the engine's folder (default: .pvtrail/store)
  --port <n>        0: any that is free (default: 8123)
  -h, --help

PVTRAIL_STORE_PASSWORD is demanded of user 'default' when it is set.
SIGTERM and SIGINT: answers what it has, closes the engine, ends with 0.
`;
const USAGE = 2;
const MAX_PORT = 65_535;

const fail = (message: string, exitCode: number): void => {
  process.stderr.write(`store:local: ${message}\n`);
  process.exitCode = exitCode;
};

const optionsOf = () => {
  const { values } = parseArgs({
    options: {
      data: { type: 'string', default: '.pvtrail/store' },
      port: { type: 'string', default: '8123' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > MAX_PORT) throw new TypeError(`no port: ${values.port}`);
  return { folder: values.data, port, help: values.help };
};

/** Until told to stop, or until a parent with a channel to this process is gone. A second signal ends it at once. */
const serve = async (folder: string, port: number): Promise<void> => {
  const server = await LocalServer.start({ folder, port, password: process.env.PVTRAIL_STORE_PASSWORD });
  process.stdout.write(`${server.url}\n`);
  const ends = ['SIGTERM', 'SIGINT', 'disconnect'] as const;
  const ended = Promise.race(ends.map((end) => once(process, end)));
  process.channel?.unref();
  await ended;
  await server.stop();
};

try {
  const { folder, port, help } = optionsOf();
  if (help) process.stdout.write(HELP);
  else await serve(folder, port);
} catch (error) {
  if (error instanceof AppError) fail(`${error.code}: ${error.message}`, 1);
  else if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') fail(error.message, 1);
  else if (error instanceof TypeError) fail(`${error.message}\n${HELP}`, USAGE);
  else throw error;
}
