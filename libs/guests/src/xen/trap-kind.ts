/** Kinds of traps: the payload of the event `trap` (docs/adr/002, 007). */
export const TrapKind = {
  hypercall: 1,
  multicallEntry: 2,
  emulatedWrite: 3,
  emulatedInstruction: 4,
  exception: 5,
  systemCall: 6,
  upcall: 7,
} as const;
