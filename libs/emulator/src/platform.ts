import { SeededRandom } from '@pvtrail/primitives';
import type { CpuState } from './cpu-state.js';
import { IF } from './flags.js';
import type { EmulatorKernel } from './kernel.js';
import { FIRST_VECTOR } from './state-layout.js';
import type { SystemResult } from './system-result.js';

/** Ports of docs/adr/001. */
const Port = { marker: 0xe0, timer: 0xe4, device: 0xe8, console: 0xe9, exit: 0xec, random: 0xf0 } as const;

const FIRST_DEVICE_LINE = 1;
const DEVICE_LINES = 8;
const TSC_STEP = 100n;

/** The devices and counters around the CPU: ports, the timer of user-mode instructions, waiting interrupts, the time stamp. */
export class Platform {
  /** What the guest wrote to its console. */
  console = '';
  readonly #cpu: CpuState;
  readonly #kernel: EmulatorKernel;
  #random = new SeededRandom(0);

  constructor(cpu: CpuState, kernel: EmulatorKernel) {
    this.#cpu = cpu;
    this.#kernel = kernel;
  }

  /** For a new guest, whose CPU has been reset. `seed` is that of the random port. */
  begin(seed: number): void {
    this.console = '';
    this.#random = new SeededRandom(seed);
    this.#kernel.setTimer(0);
  }

  /** Retired user-mode instructions, exact at block boundaries. */
  get userInstructions(): number {
    const cpu = this.#cpu;
    return Number(cpu.u64('userBase')) + cpu.u32('fuelLoaded') - (cpu.u32('userFuel') | 0);
  }

  /** Time passes to the timer's next expiry (hlt). Returns false when the timer is off. */
  skipToTimer(): boolean {
    return this.#kernel.skipToTimer() !== 0;
  }

  /** An interrupt waits from now on until IF is set. */
  request(vector: number): void {
    if (vector < FIRST_VECTOR || vector > FIRST_VECTOR + 31)
      throw new RangeError(`no interrupt line for vector ${vector}`);
    this.#kernel.request(vector - FIRST_VECTOR);
  }

  get interruptWaits(): boolean {
    return this.#cpu.u32('interruptPending') !== 0;
  }

  /** The interrupt to be taken now, which stops waiting; undefined when there is none or IF is clear. */
  takeInterrupt(): number | undefined {
    const pending = this.#cpu.u32('interruptPending');
    if (pending === 0 || (this.#cpu.u32('systemFlags') & IF) === 0) return undefined;
    const line = 31 - Math.clz32(pending);
    this.#cpu.setU32('interruptPending', pending & ~(1 << line));
    return FIRST_VECTOR + line;
  }

  /** Whether a value may be loaded into CR3. */
  isRoot(cr3: bigint): boolean {
    return this.#kernel.isRoot(cr3) !== 0;
  }

  loadPageTables(cr3: bigint): void {
    this.#kernel.loadPageTables(cr3);
  }

  timeStamp(): bigint {
    const reads = this.#cpu.u64('timeStampReads') + 1n;
    this.#cpu.setU64('timeStampReads', reads);
    return TSC_STEP * reads + BigInt(this.userInstructions);
  }

  in(port: number): number {
    return port === Port.random ? this.#random.nextU32() : 0xffffffff;
  }

  out(port: number, value: number): SystemResult {
    switch (port) {
      case Port.marker:
        return { kind: 'marker', code: value };
      case Port.timer:
        this.#kernel.setTimer(value);
        return { kind: 'interruptible' };
      case Port.device:
        this.#kernel.request(FIRST_DEVICE_LINE + (value & (DEVICE_LINES - 1)));
        return { kind: 'interruptible' };
      case Port.console:
        this.console += String.fromCharCode(value & 0xff);
        return { kind: 'interruptible' };
      case Port.exit:
        return { kind: 'exit', status: value | 0 };
      default:
        return { kind: 'interruptible' };
    }
  }
}
