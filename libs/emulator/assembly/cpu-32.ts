import { KIND_WRITE } from './paging';
import { EXCEPTION, INTERRUPT, keepAddresses, recordAddress, recordEvent, recordExtra } from './recording';
import {
  begin, descriptorPlace, flags, giveUp, gpr, IF, INTERRUPT_GATE, NT, place, privilege, pushesErrorCode, RETURNED, RF, RSP, setFlags, setGpr, TF,
  TRAP_GATE, unusual, VM,
} from './registers';

/**
 * Enters and leaves handlers, and loads data segments, in 32-bit mode (SDM vol. 3A §6.12 and §5.8). Whatever is unusual is left to
 * JavaScript, with nothing changed: what is not flat, not accessed before, or faults.
 */

const TSS_ESP0: u32 = 4;

// A descriptor's fields and what they are in flat code and in flat data that can be written, accessed before; the privilege level is left out.
const CODE_FIELDS: u64 = 0xffef9dffffffffff;
const FLAT_CODE: u64 = 0x00cf99000000ffff;
const DATA_FIELDS: u64 = 0xffef9fffffffffff;
const FLAT_DATA: u64 = 0x00cf93000000ffff;
/** The same for a data segment of any base and limit. */
const ANY_DATA_FIELDS: u64 = 0x00009f0000000000;
const ANY_DATA: u64 = 0x0000930000000000;
const GRANULAR: u64 = 0x0080000000000000;

// Selector registers by number.
const ES: u32 = 0;
const DS: u32 = 3;
const FS: u32 = 4;
const GS: u32 = 5;

/** A descriptor of the GDT with the wanted fields; sets `unusual` for any other. */
function descriptorWith(selector: u32, fields: u64, wanted: u64): u64 {
  const at = descriptorPlace(selector);
  if (unusual) return 0;
  const descriptor = load<u64>(at);
  if ((descriptor & fields) != wanted) giveUp();
  return descriptor;
}

// What `prepareEntry32` found.
let gate: u64 = 0;
let newCpl: u32 = 0;
let newSs: u32 = 0;
let stackTop: u32 = 0;
let frame: usize = 0;
let frameBytes: u32 = 0;

/** Looks whether the handler of a fault, an interrupt or an int instruction can be entered here. Changes nothing that the guest could see. */
export function prepareEntry32(vector: u32, software: bool): bool {
  begin();
  if (vector * 8 + 7 > load<u32>(STATE_IDTR_LIMIT)) return false;
  const at = place(load<u64>(STATE_IDTR_BASE) + vector * 8, 8, 0);
  if (unusual) return false;
  gate = load<u64>(at);
  const type = <u32>(gate >> 40) & 0x1f;
  if ((type != INTERRUPT_GATE && type != TRAP_GATE) || ((gate >> 47) & 1) == 0) return false;
  const cpl = load<u32>(STATE_CPL);
  if (software && privilege(gate) < cpl) return false;
  newCpl = privilege(descriptorWith(<u32>(gate >> 16) & 0xffff, CODE_FIELDS, FLAT_CODE));
  if (unusual || newCpl > cpl) return false;
  findStack(cpl);
  if (unusual) return false;
  frameBytes = (newCpl < cpl ? 20 : 12) + (!software && pushesErrorCode(vector) ? 4 : 0);
  frame = place(<u64>(stackTop - frameBytes), frameBytes, KIND_WRITE);
  return !unusual;
}

function findStack(cpl: u32): void {
  if (newCpl == cpl) {
    stackTop = <u32>gpr(RSP);
    return;
  }
  const offset = TSS_ESP0 + 8 * newCpl;
  if (offset + 7 > load<u32>(STATE_TR_LIMIT)) return giveUp();
  const at = place(load<u64>(STATE_TR_BASE) + offset, 8, 0);
  if (unusual) return;
  stackTop = load<u32>(at);
  newSs = load<u16>(at, 4);
  const descriptor = descriptorWith(newSs, DATA_FIELDS, FLAT_DATA);
  if (privilege(descriptor) != newCpl || (newSs & 3) != newCpl) giveUp();
}

/** Enters the handler that `prepareEntry32` found, for a fault of the instruction at rip. */
export function deliverFault32(vector: u32, errorCode: u32): void {
  // A fault's frame has RF set, so that a debugger can resume the instruction (SDM vol. 3B §17.3.1.1).
  enter(vector, errorCode, flags() | RF, EXCEPTION);
}

/** The same for an external interrupt before the instruction at rip. */
export function deliverInterrupt32(vector: u32): void {
  enter(vector, 0, flags(), INTERRUPT);
}

/** The same for an int instruction; rip is behind it. */
export function deliverSoftware32(vector: u32): void {
  enter(vector, 0, flags(), EXCEPTION);
}

function enter(vector: u32, errorCode: u32, before: u32, event: u32): void {
  const top = frame + frameBytes;
  let at = top;
  const inner = newCpl < load<u32>(STATE_CPL);
  if (inner) {
    store<u32>(at - 4, load<u32>(STATE_SS_SELECTOR));
    store<u32>(at - 8, <u32>gpr(RSP));
    at -= 8;
  }
  store<u32>(at - 4, before);
  store<u32>(at - 8, load<u32>(STATE_CS_SELECTOR));
  store<u32>(at - 12, load<u32>(STATE_RIP));
  if (at - 12 != frame) store<u32>(at - 16, errorCode);
  recordEvent(event, vector);
  recordExtra(<u32>(top - REGION_RAM));
  const cleared = before & ~(TF | NT | RF | VM);
  setFlags((<u32>(gate >> 40) & 0xf) == INTERRUPT_GATE ? cleared & ~IF : cleared);
  setGpr(RSP, <u64>(stackTop - frameBytes));
  if (inner) store<u32>(STATE_SS_SELECTOR, newSs);
  store<u32>(STATE_CS_SELECTOR, (<u32>(gate >> 16) & 0xfffc) | newCpl);
  store<u32>(STATE_CPL, newCpl);
  store<u64>(STATE_RIP, (gate & 0xffff) | ((gate >> 32) & 0xffff0000));
}

/** iret of the kernel (SDM vol. 2): three words, each a reference slot, and two more to user mode. False when it is left to JavaScript. */
export function interruptReturn32(slotsBefore: u32): bool {
  if (load<u32>(STATE_CPL) != 0 || load<u32>(STATE_INTERRUPT_PENDING) != 0) return false;
  if ((load<u32>(STATE_SYSTEM_FLAGS) & NT) != 0) return false;
  begin();
  const words = place(gpr(RSP), 12, 0);
  if (unusual) return false;
  const eip = load<u32>(words);
  const selector = <u32>load<u16>(words, 4);
  const loaded = load<u32>(words, 8);
  const ring = selector & 3;
  const descriptor = descriptorWith(selector, CODE_FIELDS, FLAT_CODE);
  if (unusual || privilege(descriptor) != ring || (loaded & (TF | VM)) != 0) return false;
  let esp = <u32>gpr(RSP) + 12;
  let ss = load<u32>(STATE_SS_SELECTOR);
  if (ring != 0) {
    const outer = place(gpr(RSP), 20, 0);
    if (unusual || !keepsSegments(ring)) return false;
    esp = load<u32>(outer, 12);
    ss = load<u16>(outer, 16);
    const stack = descriptorWith(ss, DATA_FIELDS, FLAT_DATA);
    if (unusual || privilege(stack) != ring || (ss & 3) != ring) return false;
  }
  keepAddresses(slotsBefore);
  for (let word: usize = 0; word < 3; word++) recordAddress(<u32>(words - REGION_RAM + 4 * word));
  setFlags(((flags() & ~RETURNED) | (loaded & RETURNED)) & ~RF);
  store<u32>(STATE_CS_SELECTOR, selector);
  store<u32>(STATE_SS_SELECTOR, ss);
  store<u32>(STATE_CPL, ring);
  setGpr(RSP, esp);
  store<u64>(STATE_RIP, eip);
  return true;
}

/** Whether a return to a ring leaves all data segments as they are. */
function keepsSegments(ring: u32): bool {
  const privileges = load<u32>(STATE_SEGMENT_PRIVILEGES);
  return (
    keeps(load<u32>(STATE_ES_SELECTOR), privileges >> (2 * ES), ring) &&
    keeps(load<u32>(STATE_DS_SELECTOR), privileges >> (2 * DS), ring) &&
    keeps(load<u32>(STATE_FS_SELECTOR), privileges >> (2 * FS), ring) &&
    keeps(load<u32>(STATE_GS_SELECTOR), privileges >> (2 * GS), ring)
  );
}

function keeps(selector: u32, own: u32, ring: u32): bool {
  return selector < 4 || (own & 3) >= ring;
}

/** Loads es, ds, fs or gs; called by generated code. False when it is left to JavaScript. */
export function loadSegment(register: u32, selector: u32): bool {
  begin();
  if (register != ES && register < DS) return false;
  const hasWindow = register >= FS;
  let base: u32 = 0;
  let end: u64 = 0;
  let own: u32 = 3;
  if ((selector & 0xfffc) != 0) {
    const descriptor = hasWindow
      ? descriptorWith(selector, ANY_DATA_FIELDS, ANY_DATA)
      : descriptorWith(selector, DATA_FIELDS, FLAT_DATA);
    own = privilege(descriptor);
    if (unusual || own < max(load<u32>(STATE_CPL), selector & 3)) return false;
    base = (<u32>(descriptor >> 16) & 0xffffff) | (<u32>(descriptor >> 32) & 0xff000000);
    const limit = (descriptor & 0xffff) | ((descriptor >> 32) & 0xf0000);
    end = (descriptor & GRANULAR) != 0 ? (limit + 1) << 12 : limit + 1;
  } else if (!hasWindow) return false;
  const others = load<u32>(STATE_SEGMENT_PRIVILEGES) & ~(<u32>3 << (2 * register));
  store<u32>(STATE_SEGMENT_PRIVILEGES, others | (own << (2 * register)));
  if (register == ES) store<u32>(STATE_ES_SELECTOR, selector);
  else if (register == DS) store<u32>(STATE_DS_SELECTOR, selector);
  else if (register == FS) {
    store<u32>(STATE_FS_SELECTOR, selector);
    store<u64>(STATE_FS_BASE, base);
    store<u64>(STATE_FS_END, end);
  } else {
    store<u32>(STATE_GS_SELECTOR, selector);
    store<u64>(STATE_GS_BASE, base);
    store<u64>(STATE_GS_END, end);
  }
  return true;
}
