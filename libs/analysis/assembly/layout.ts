/**
 * Where things lie in the memory that the caller lays out. Exported by the module, so that TypeScript reads the same numbers.
 *
 * A block has a hot record (64 bytes, 64-aligned: one line of the host's cache), a cold record, a slot list and a table with one
 * row per number of retired instructions. Everything marked `count` is a u32 that the kernel only increments.
 */

// Hot record
export const LINE: usize = 0; // number of the first cache line
export const START: usize = 4; // low half of the virtual address
export const END: usize = 8; // low half of the virtual address after the block
export const SHAPE: usize = 12; // lines (bits 0-7), slots (8-18), end kind (20-23), SLOW flags (27-31)
export const EXECUTIONS: usize = 16; // count: executions that retired the whole block
export const L1I_REFERENCES: usize = 20; // count
export const BRANCH: usize = 24; // low half of the address of the last instruction
export const SLOTS: usize = 28; // pointer to u16 slots: READ | WRITE | width << 2
export const COLD: usize = 32; // pointer to the cold record
export const INLINE_SLOTS: usize = 36; // room for 14 slots
export const HOT_BYTES: usize = 64;

// Cold record
// A cold record begins at a multiple of 8; data's counts follow instructions' by 4, misses of the L2 those of the L1 by L2_DEMAND.
export const L1I_MISSES: usize = 0; // count
export const L1D_MISSES: usize = 4; // count
export const L2_DEMAND: usize = 8;
export const L2_INSTRUCTION_MISSES: usize = 8; // count
export const L2_DATA_MISSES: usize = 12; // count
export const L1D_WRITE_BACKS: usize = 16; // count
export const L2_WRITE_BACKS: usize = 20; // count
export const CONDITIONAL_MISPREDICTIONS: usize = 24; // count
export const INDIRECT_MISPREDICTIONS: usize = 28; // count
export const RETURN_MISPREDICTIONS: usize = 32; // count
export const UNSCORED_BRANCHES: usize = 36; // count
export const EXTRA_READS: usize = 40; // count: references beyond one per slot
export const EXTRA_WRITES: usize = 44; // count
export const REP_ITERATIONS: usize = 48; // count
export const THUNK_ENTRIES: usize = 52; // count: calls from this block that arrived at a thunk
export const COLD_COUNT_BYTES: usize = 56; // what a reset clears
export const LINES_IN_FIRST_PAGE: usize = 56;
export const SECOND_PAGE_LINE: usize = 60; // number of the first line in the second page
export const INSTRUCTIONS: usize = 64;
export const PARTIALS: usize = 68; // pointer to the rows
export const COLD_BYTES: usize = 72;

// Row n of the table: what holds when only the first n instructions retired
export const PARTIAL_EXECUTIONS: usize = 0; // count
export const PARTIAL_BYTES: usize = 4; // u16: length of the n instructions
export const PARTIAL_SLOTS: usize = 6; // u16: their slots
export const PARTIAL_LINES: usize = 8; // u8: lines they touch
export const FAULTING_LINES: usize = 9; // u8: lines when instruction n was fetched and faulted
export const PARTIAL_ROW_BYTES: usize = 12;

export const READ: u32 = 1;
export const WRITE: u32 = 2;

export const LINES_MASK: u32 = 0xff;
export const SLOTS_SHIFT: u32 = 8;
export const SLOTS_MASK: u32 = 0x7ff;
export const KIND_SHIFT: u32 = 20;
/** set in a shape that the loop leaves to `step`; in an event word: anything but a block executed */
export const SLOW: u32 = 0xc0000000;
/** a rep string instruction, alone in its block */
export const REPEATED: u32 = 0x20000000 | 0x80000000;
/** crosses a page */
export const TWO_PAGES: u32 = 0x10000000 | 0x80000000;
/** the first instruction of a callee-save thunk */
export const THUNK: u32 = 0x08000000 | 0x80000000;

// How control leaves a block
export const FALL: u32 = 0;
export const JUMP: u32 = 1;
export const CONDITIONAL: u32 = 2;
export const CALL: u32 = 3;
export const INDIRECT_JUMP: u32 = 4;
export const INDIRECT_CALL: u32 = 5;
export const RETURN: u32 = 6;
/** never predicted: iret, syscall, an interrupt, … */
export const TRANSFER: u32 = 7;

// What `run` answers
export const DONE: i32 = 0;
export const MARKER: i32 = 1;
export const CORRUPT: i32 = 2;

/** A cache tag is a line number, bit 31 says dirty; no line has the number EMPTY. */
export const DIRTY: u32 = 0x80000000;
export const EMPTY: u32 = 0x7fffffff;

/** Interrupts by vector, exceptions by vector, traps by kind (kinds from 255 on share a counter): three tables of 256 counts. */
export const EVENT_COUNTS: usize = 3 * 256 * 4;
