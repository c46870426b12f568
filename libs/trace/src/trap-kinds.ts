/** Why control went to the hypervisor: payloads of the event `trap` (docs/adr/002, 007). */
export const TRAP_KINDS = {
  hypercall: 1,
  'multicall-entry': 2,
  'emulated-write': 3,
  'emulated-instruction': 4,
  exception: 5,
  'system-call': 6,
  upcall: 7,
} as const;
export type TrapKind = keyof typeof TRAP_KINDS;

/** The kind with this number; undefined for a number that no kind has. */
export const trapKindOf = (number: number): TrapKind | undefined => NAMES.get(number);

const NAMES: ReadonlyMap<number, TrapKind> = new Map(
  (Object.keys(TRAP_KINDS) as TrapKind[]).map((name) => [TRAP_KINDS[name], name]),
);
