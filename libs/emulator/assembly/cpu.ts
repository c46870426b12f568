import { userInstructions } from './platform';
import { isCanonical, KIND_WRITE } from './paging';
import { EXCEPTION, INTERRUPT, keepAddresses, recordAddress, recordEvent, recordExtra } from './recording';
import {
  begin, descriptorPlace, flags, giveUp, gpr, IF, INTERRUPT_GATE, NT, place, privilege, pushesErrorCode, RETURNED, RF, RSP, setFlags, setGpr, TF,
  TRAP_GATE, unusual,
} from './registers';

/** Enters and leaves handlers in 64-bit mode (SDM vol. 3A §6.14). Whatever is unusual is left to JavaScript, with nothing changed. */

const TSS_RSP0: u64 = 4;
const TSS_IST1: u64 = 36;

/** The descriptor of a 64-bit code segment in the GDT; sets `unusual` for any other. */
function codeDescriptor(selector: u32): u64 {
  const at = descriptorPlace(selector);
  if (unusual) return 0;
  const descriptor = load<u64>(at);
  const isCode = ((descriptor >> 43) & 3) == 3;
  const present = ((descriptor >> 47) & 1) == 1;
  const long = ((descriptor >> 53) & 1) == 1;
  if (!isCode || !present || !long) giveUp();
  return descriptor;
}

/** Whether a selector names writable data of a privilege level in the GDT, or nothing outside of ring 3. */
function isStackOf(selector: u32, cpl: u32): bool {
  if (selector < 4) return cpl != 3;
  if ((selector & 3) != cpl) return false;
  const at = descriptorPlace(selector);
  if (unusual) return false;
  const descriptor = load<u64>(at);
  const isWritableData = ((descriptor >> 41) & 0xd) == 9;
  const present = ((descriptor >> 47) & 1) == 1;
  return isWritableData && present && privilege(descriptor) == cpl;
}

// What `prepare` found.
let gateLow: u64 = 0;
let gateHigh: u64 = 0;
let newCpl: u32 = 0;
let stackTop: u64 = 0;
let frameAt: usize = 0;

function frameBytes(vector: u32): u64 {
  return pushesErrorCode(vector) ? 48 : 40;
}

/** Looks whether the handler of a fault or an interrupt can be entered here. Changes nothing that the guest could see. */
export function prepareEntry(vector: u32): bool {
  begin();
  if (vector * 16 + 15 > load<u32>(STATE_IDTR_LIMIT)) return false;
  const gate = place(load<u64>(STATE_IDTR_BASE) + vector * 16, 16, 0);
  if (unusual) return false;
  gateLow = load<u64>(gate);
  gateHigh = load<u64>(gate, 8);
  const type = <u32>(gateLow >> 40) & 0x1f;
  if ((type != INTERRUPT_GATE && type != TRAP_GATE) || ((gateLow >> 47) & 1) == 0) return false;
  const descriptor = codeDescriptor(<u32>(gateLow >> 16) & 0xffff);
  const cpl = load<u32>(STATE_CPL);
  newCpl = ((descriptor >> 42) & 1) == 1 ? cpl : <u32>(descriptor >> 45) & 3;
  if (unusual || newCpl > cpl) return false;
  stackTop = newStack(<u32>(gateLow >> 32) & 7, cpl) & ~(<u64>0xf);
  const bytes = frameBytes(vector);
  frameAt = place(stackTop - bytes, bytes, KIND_WRITE);
  return !unusual;
}

function newStack(ist: u32, cpl: u32): u64 {
  if (ist == 0 && newCpl == cpl) return gpr(RSP);
  const offset = ist != 0 ? TSS_IST1 + 8 * (ist - 1) : TSS_RSP0 + 8 * newCpl;
  const at = place(load<u64>(STATE_TR_BASE) + offset, 8, 0);
  return unusual ? 0 : load<u64>(at);
}

/** Enters the handler that `prepareEntry` found, for a fault of the instruction at rip. */
export function deliverFault(vector: u32, errorCode: u32): void {
  // A fault's frame has RF set, so that a debugger can resume the instruction (SDM vol. 3B §17.3.1.1).
  enter(vector, errorCode, flags() | RF, EXCEPTION);
}

/** Enters the handler that `prepareEntry` found, for an external interrupt before the instruction at rip. */
export function deliverInterrupt(vector: u32): void {
  enter(vector, 0, flags(), INTERRUPT);
}

function enter(vector: u32, errorCode: u32, before: u32, event: u32): void {
  const bytes = <usize>frameBytes(vector);
  const top = frameAt + bytes;
  store<u64>(top - 8, load<u32>(STATE_SS_SELECTOR));
  store<u64>(top - 16, gpr(RSP));
  store<u64>(top - 24, before);
  store<u64>(top - 32, load<u32>(STATE_CS_SELECTOR));
  store<u64>(top - 40, load<u64>(STATE_RIP));
  if (bytes == 48) store<u64>(top - 48, errorCode);
  recordEvent(event, vector);
  recordExtra(<u32>(top - REGION_RAM));
  const cleared = before & ~(TF | NT | RF);
  setFlags((<u32>(gateLow >> 40) & 0xf) == INTERRUPT_GATE ? cleared & ~IF : cleared);
  setGpr(RSP, stackTop - bytes);
  if (newCpl < load<u32>(STATE_CPL)) store<u32>(STATE_SS_SELECTOR, newCpl);
  store<u32>(STATE_CS_SELECTOR, (<u32>(gateLow >> 16) & 0xfffc) | newCpl);
  store<u32>(STATE_CPL, newCpl);
  store<u64>(STATE_RIP, (gateLow & 0xffff) | ((gateLow >> 32) & 0xffff0000) | (gateHigh << 32));
}

/** iretq of the kernel (SDM vol. 2): five words, each a reference slot. False when it is left to JavaScript. */
export function interruptReturn(slotsBefore: u32): bool {
  if (load<u32>(STATE_CPL) != 0 || load<u32>(STATE_INTERRUPT_PENDING) != 0) return false;
  begin();
  const frame = place(gpr(RSP), 40, 0);
  if (unusual) return false;
  const rip = load<u64>(frame);
  const selector = <u32>load<u16>(frame, 8);
  const loaded = load<u32>(frame, 16);
  const descriptor = codeDescriptor(selector);
  if (unusual || !isCanonical(rip) || (loaded & TF) != 0) return false;
  if (privilege(descriptor) != (selector & 3) || !isStackOf(load<u16>(frame, 32), selector & 3)) return false;
  keepAddresses(slotsBefore);
  for (let word: usize = 0; word < 5; word++) recordAddress(<u32>(frame - REGION_RAM + 8 * word));
  setFlags(((flags() & ~RETURNED) | (loaded & RETURNED)) & ~RF);
  store<u32>(STATE_CS_SELECTOR, selector);
  store<u32>(STATE_SS_SELECTOR, load<u16>(frame, 32));
  store<u32>(STATE_CPL, selector & 3);
  setGpr(RSP, load<u64>(frame, 24));
  store<u64>(STATE_RIP, rip);
  return true;
}

/** rdtsc (docs/adr/001): 100 for each read, and the user-mode instructions retired so far. */
export function readTimeStamp(): void {
  const reads = load<u64>(STATE_TIME_STAMP_READS) + 1;
  store<u64>(STATE_TIME_STAMP_READS, reads);
  const value = 100 * reads + userInstructions();
  setGpr(0, value & 0xffffffff);
  setGpr(2, value >> 32);
}
