/** What the guest is to do, handed over in memory (docs/adr/001). */
export interface BootParameters {
  readonly ramBytes: number;
  /** Number of the workload: 0 nullsyscall … 7 mix. */
  readonly workload: number;
  /** 0 hot, 1 mixed. */
  readonly footprint: number;
  /** Iterations counted, after one for warming up. */
  readonly iterations: number;
  readonly seed: number;
  /** Text and data that a process walks between kernel entries in the mixed footprint, bytes. */
  readonly userCodeBytes: number;
  readonly userDataBytes: number;
  /** In retired user-mode instructions. */
  readonly timerPeriod: number;
  /** How often each single workload runs inside one iteration of the mix, by its number. */
  readonly mixIterations: readonly number[];
}

export const BOOT_PARAMETERS_PHYS = 0x9000;
const BOOT_PARAMETERS_BYTES = 76;
const MAGIC = 0x50565431;
const PROTOCOL_VERSION = 1;

/** Writes the parameters at guest-physical 0x9000. */
export const writeBootParameters = (ram: Uint8Array, parameters: BootParameters): void => {
  const view = new DataView(ram.buffer, ram.byteOffset + BOOT_PARAMETERS_PHYS, BOOT_PARAMETERS_BYTES);
  const words = [
    [0, MAGIC],
    [4, PROTOCOL_VERSION],
    [16, parameters.workload],
    [20, parameters.footprint],
    [24, parameters.iterations],
    [28, parameters.seed],
    [32, parameters.userCodeBytes],
    [36, parameters.userDataBytes],
    [40, parameters.timerPeriod],
    ...parameters.mixIterations.map((count, number) => [44 + 4 * number, count] as const),
  ] as const;
  for (const [offset, value] of words) view.setUint32(offset, value, true);
  view.setBigUint64(8, BigInt(parameters.ramBytes), true);
};
