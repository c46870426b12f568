import { SeededRandom } from '@pvtrail/primitives';
import type { CpuState } from './cpu-state.js';
import { IF } from './flags.js';
import type { SystemResult } from './system.js';

/** Ports of docs/adr/001. */
const Port = { marker: 0xe0, timer: 0xe4, device: 0xe8, console: 0xe9, exit: 0xec, random: 0xf0 } as const;

export const TIMER_VECTOR = 0x20;
const FIRST_DEVICE_VECTOR = 0x21;
const DEVICE_LINES = 8;
/** User-mode instructions between looks at a timer that is off. */
const FAR_AWAY = 0x40000000;
const TSC_STEP = 100n;

/** The devices and counters around the CPU: ports, the timer of user-mode instructions, waiting interrupts, the time stamp. */
export class Platform {
  /** What the guest wrote to its console. */
  console = '';
  readonly #cpu: CpuState;
  readonly #loadPageTables: (cr3: bigint) => void;
  #random = new SeededRandom(0);
  readonly #waiting = new Set<number>();
  #timerPeriod = 0;
  /** User-mode count at which the timer is due. */
  #timerDue = Number.POSITIVE_INFINITY;

  constructor(cpu: CpuState, loadPageTables: (cr3: bigint) => void) {
    this.#cpu = cpu;
    this.#loadPageTables = loadPageTables;
  }

  /** For a new guest, whose CPU has been reset. `seed` is that of the random port. */
  begin(seed: number): void {
    this.console = '';
    this.#random = new SeededRandom(seed);
    this.#waiting.clear();
    this.#timerPeriod = 0;
    this.#timerDue = Number.POSITIVE_INFINITY;
    this.#loadFuel();
  }

  /** Retired user-mode instructions, exact at block boundaries. */
  get userInstructions(): number {
    const cpu = this.#cpu;
    return Number(cpu.u64('userBase')) + cpu.u32('fuelLoaded') - (cpu.u32('userFuel') | 0);
  }

  #loadFuel(): void {
    const base = this.userInstructions;
    const fuel = Math.max(0, Math.min(FAR_AWAY, this.#timerDue - base));
    this.#cpu.setU64('userBase', BigInt(base));
    this.#cpu.setU32('fuelLoaded', fuel);
    this.#cpu.setU32('userFuel', fuel);
  }

  /** The fuel is used up: raises the timer when it is due and loads the fuel anew. */
  fuelEmpty(): void {
    if (this.userInstructions >= this.#timerDue) {
      this.#timerDue += this.#timerPeriod;
      this.request(TIMER_VECTOR);
    }
    this.#loadFuel();
  }

  /** Time passes to the timer's next expiry (hlt). Returns false when the timer is off. */
  skipToTimer(): boolean {
    if (this.#timerPeriod === 0) return false;
    this.#timerDue = this.userInstructions + this.#timerPeriod;
    this.request(TIMER_VECTOR);
    this.#loadFuel();
    return true;
  }

  /** An interrupt waits from now on until IF is set. */
  request(vector: number): void {
    this.#waiting.add(vector);
    this.#cpu.setU32('interruptPending', 1);
  }

  get interruptWaits(): boolean {
    return this.#waiting.size > 0;
  }

  /** The interrupt to be taken now, which stops waiting; undefined when there is none or IF is clear. */
  takeInterrupt(): number | undefined {
    if (this.#waiting.size === 0 || (this.#cpu.u32('systemFlags') & IF) === 0) return undefined;
    const vector = Math.max(...this.#waiting);
    this.#waiting.delete(vector);
    this.#cpu.setU32('interruptPending', this.#waiting.size);
    return vector;
  }

  loadPageTables(cr3: bigint): void {
    this.#loadPageTables(cr3);
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
        this.#timerPeriod = value;
        this.#timerDue = value === 0 ? Number.POSITIVE_INFINITY : this.userInstructions + value;
        this.#loadFuel();
        return { kind: 'interruptible' };
      case Port.device:
        this.request(FIRST_DEVICE_VECTOR + (value & (DEVICE_LINES - 1)));
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
