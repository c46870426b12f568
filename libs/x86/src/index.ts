export type { BlockEndKind } from './block-end.js';
export { type BlockEnd, type BlockShape, describeBlock, MAX_BLOCK_INSTRUCTIONS, PAGE_BYTES } from './describe-block.js';
export { type DisassembledLine, describeInstructions, disassemble, isNop } from './disassemble.js';
export type { InstructionShape, StackUse } from './instruction-shape.js';
export { type RegisterUse, registerUse } from './register-use.js';
export { GENERAL_REGISTERS } from './registers.js';
export type { Direction, ReferenceSlot } from './slots.js';
export type { SystemClass } from './system-class.js';
