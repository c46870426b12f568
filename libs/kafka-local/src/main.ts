// `npm run kafka:local [-- FOLDER [PORT]]`: a broker on this machine until Ctrl-C.
import { AppError } from '@pvtrail/primitives';
import { startLocalBroker } from './local-broker.js';

const [folder = '.pvtrail/kafka', port] = process.argv.slice(2);

try {
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  const broker = await startLocalBroker({ folder, port: port === undefined ? undefined : Number(port) });
  process.stdout.write(`${broker.bootstrap}\n`);
  process.stderr.write(`Kafka listens on ${broker.bootstrap}; its data are in ${folder}. Ctrl-C stops it.\n`);
  await stopped;
  await broker.stop();
} catch (error) {
  if (!(error instanceof AppError)) throw error;
  process.stderr.write(`pvtrail: ${error.code}: ${error.message}\n`);
  process.exitCode = 1;
}
