export { CpuState, type SegmentName, type TableRegister } from './cpu-state.js';
export { GuestFault, GuestStopped } from './guest-fault.js';
export type { Hypervisor, TrappedInstruction } from './hypervisor.js';
export {
  ENCODER_AREA,
  type GuestFailure,
  type GuestFailureCode,
  type GuestSettings,
  Machine,
  type MachineCounters,
  type MachineExit,
  type MachineOptions,
  type MachineShape,
  type RawSink,
} from './machine.js';
