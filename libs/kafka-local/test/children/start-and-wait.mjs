// Starts a broker in the folder given, prints its process id and waits to be killed.
import { startLocalBroker } from '@pvtrail/kafka-local';

const broker = await startLocalBroker({ folder: process.argv[2] });
process.stdout.write(`${broker.pid}\n`);
setInterval(() => {}, 1 << 30);
