import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@pvtrail/primitives';

export interface ProcessSpec {
  readonly name: string;
  /** Run by this process's own Node.js. */
  readonly script: string;
  readonly args?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Its output is added to `NAME.log` in there. */
  readonly logs: string;
  /** Resolves once it can be used; asked again and again until it does. */
  ready(): Promise<boolean>;
}

const READY_MS = 120_000;
const POLL_MS = 100;
const RESTART_MS = 500;
const STOP_MS = 30_000;
const LOG_TAIL_BYTES = 2_000;

/** A child process that is started again whenever it ends by itself. */
export class SupervisedProcess {
  readonly name: string;
  readonly #spec: ProcessSpec;
  readonly #note: (line: string) => void;
  #child: ChildProcess;
  #ended: Promise<void>;
  #stopping = false;
  #isReady = false;

  private constructor(spec: ProcessSpec, note: (line: string) => void) {
    this.name = spec.name;
    this.#spec = spec;
    this.#note = note;
    fs.mkdirSync(spec.logs, { recursive: true });
    [this.#child, this.#ended] = this.#start();
  }

  /** Resolves when the process is ready. @throws AppError `run/failed` with the end of its log when it ends before */
  static async start(spec: ProcessSpec, note: (line: string) => void): Promise<SupervisedProcess> {
    const started = new SupervisedProcess(spec, note);
    await started.#becomeReady();
    return started;
  }

  /** Of the process now running. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** SIGTERM; SIGKILL when that is not enough. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  get #logFile(): string {
    return path.join(this.#spec.logs, `${this.name}.log`);
  }

  #start(): [ChildProcess, Promise<void>] {
    const { script, args = [], environment } = this.#spec;
    const log = fs.openSync(this.#logFile, 'a');
    const child = spawn(process.execPath, [script, ...args], {
      env: { ...process.env, ...environment },
      // a terminal's Ctrl-C reaches this process alone, which stops the others in their order
      detached: true,
      // the channel closes when this process dies, however it does: a sign for the child to end
      stdio: ['ignore', log, log, 'ipc'],
    });
    fs.closeSync(log);
    const ended = new Promise<void>((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', (code, signal) => {
        resolve();
        if (this.#isReady && !this.#stopping) void this.#restart(signal ?? `status ${code}`);
      });
    });
    return [child, ended];
  }

  async #restart(reason: string): Promise<void> {
    this.#note(`${this.name} ended (${reason}) and is started again; its log is ${this.#logFile}`);
    await delay(RESTART_MS);
    if (!this.#stopping) [this.#child, this.#ended] = this.#start();
  }

  async #becomeReady(): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (!(await this.#spec.ready())) {
      if (this.#child.exitCode === null && this.#child.signalCode === null && Date.now() < deadline) {
        await delay(POLL_MS);
        continue;
      }
      await this.stop();
      const tail = fs.readFileSync(this.#logFile, 'utf8').slice(-LOG_TAIL_BYTES);
      throw new AppError('run/failed', `${this.name} could not be started; its log ends with:\n${tail}`);
    }
    this.#isReady = true;
  }
}
