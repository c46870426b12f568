import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { AppError } from '@pvtrail/primitives';

/** A busy machine takes some ten seconds; the session of a killed predecessor is waited for, too. */
const READY_TIMEOUT_MS = 90_000;
/** Java's shutdown hook closes the log segments in about two seconds. */
const STOP_TIMEOUT_MS = 30_000;
const READY_LINE = /Kafka Server started/;
const TAIL_LINES = 20;

/** Arguments of `java` before the main class: the class path and quiet logging, except for the line that says it is ready. */
const javaOptions = (jars: string, heapMiB: number): string[] => [
  `-Xmx${heapMiB}m`,
  '-XX:+UseSerialGC',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
  '-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info',
  '-cp',
  path.join(jars, '*'),
];

/** Runs a Java program of the broker to its end. @throws AppError `broker/not-started` with what it printed */
export const runBrokerTool = async (jars: string, args: readonly string[]): Promise<void> => {
  const tool = spawn('java', [...javaOptions(jars, 128), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [tool.stdout, tool.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  const [code] = await once(tool, 'close');
  if (code !== 0) throw new AppError('broker/not-started', `${args[0]} failed: ${output.trim().slice(0, 2000)}`);
};

/**
 * Kills `pid` when this process dies in whatever way: the shell waits on a pipe whose other end only this process holds.
 * @returns ends the watch
 */
const killWithThisProcess = (pid: number): (() => void) => {
  const watch = spawn('sh', ['-c', 'read -r _; kill -9 "$0"', String(pid)], { stdio: ['pipe', 'ignore', 'ignore'] });
  watch.unref();
  return () => watch.kill('SIGKILL');
};

/** One life of the broker: from start to stop or kill. */
export class BrokerProcess {
  readonly #java: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(java: ChildProcess, pid: number) {
    this.#java = java;
    const unwatch = killWithThisProcess(pid);
    this.#exited = once(java, 'exit').finally(unwatch);
  }

  /** Resolves when the broker takes requests. Its output goes to `logFile`. @throws AppError `broker/not-started` */
  static async start(jars: string, properties: string, heapMiB: number, logFile: string): Promise<BrokerProcess> {
    const java = spawn('java', [...javaOptions(jars, heapMiB), 'kafka.Kafka', properties], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Ctrl-C goes to a whole process group; this broker is stopped by whoever started it.
      detached: true,
    });
    if (java.pid === undefined) throw new AppError('broker/not-started', 'java could not be started');
    const broker = new BrokerProcess(java, java.pid);
    try {
      await broker.#ready(logFile);
    } catch (error) {
      await broker.kill();
      throw error;
    }
    return broker;
  }

  get pid(): number {
    return this.#java.pid ?? -1;
  }

  /** SIGTERM, and SIGKILL if that takes too long. */
  async stop(): Promise<void> {
    this.#java.kill('SIGTERM');
    const timer = setTimeout(() => this.#java.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#java.kill('SIGKILL');
    await this.#exited;
  }

  async #ready(logFile: string): Promise<void> {
    const log = fs.createWriteStream(logFile, { flags: 'a' });
    const tail: string[] = [];
    const ready = Promise.withResolvers<void>();
    for (const input of [this.#java.stdout, this.#java.stderr]) {
      if (input === null) continue;
      readline.createInterface({ input }).on('line', (line) => {
        log.write(`${line}\n`);
        tail.push(line);
        if (tail.length > TAIL_LINES) tail.shift();
        if (READY_LINE.test(line)) ready.resolve();
      });
    }
    const fail = (what: string) =>
      ready.reject(new AppError('broker/not-started', `the broker ${what}; ${logFile} ends so:\n${tail.join('\n')}`));
    const timer = setTimeout(() => fail(`was not ready in ${READY_TIMEOUT_MS / 1000} s`), READY_TIMEOUT_MS);
    this.#exited.then(
      () => fail('ended'),
      () => fail('could not be started'),
    );
    await ready.promise.finally(() => clearTimeout(timer));
  }
}
