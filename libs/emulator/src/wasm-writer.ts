/** Opcodes of the WebAssembly core specification 3.0 §5.4 that the translator uses. */
export const Op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Load: 0x28,
  i64Load: 0x29,
  i32Load8S: 0x2c,
  i32Load8U: 0x2d,
  i32Load16S: 0x2e,
  i32Load16U: 0x2f,
  i64Load32U: 0x35,
  i32Store: 0x36,
  i64Store: 0x37,
  i32Store8: 0x3a,
  i32Store16: 0x3b,
  i64Store32: 0x3e,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtS: 0x53,
  i64LtU: 0x54,
  i64GtS: 0x55,
  i64GtU: 0x56,
  i64LeS: 0x57,
  i64LeU: 0x58,
  i64GeS: 0x59,
  i64GeU: 0x5a,
  i32Clz: 0x67,
  i32Ctz: 0x68,
  i32Popcnt: 0x69,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivS: 0x6d,
  i32DivU: 0x6e,
  i32RemS: 0x6f,
  i32RemU: 0x70,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  i32Rotl: 0x77,
  i32Rotr: 0x78,
  i64Clz: 0x79,
  i64Ctz: 0x7a,
  i64Popcnt: 0x7b,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64DivS: 0x7f,
  i64DivU: 0x80,
  i64RemS: 0x81,
  i64RemU: 0x82,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64Shl: 0x86,
  i64ShrS: 0x87,
  i64ShrU: 0x88,
  i64Rotl: 0x89,
  i64Rotr: 0x8a,
  i32WrapI64: 0xa7,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  i32Extend8S: 0xc0,
  i32Extend16S: 0xc1,
  i64Extend8S: 0xc2,
  i64Extend16S: 0xc3,
  i64Extend32S: 0xc4,
} as const;

export type ValueType = 0x7f | 0x7e;
export const I32 = 0x7f;
export const I64 = 0x7e;

/** A growing byte buffer with the LEB128 encodings of WebAssembly. */
export class ByteWriter {
  bytes = new Uint8Array(1024);
  length = 0;

  #reserve(extra: number): void {
    if (this.length + extra <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + extra));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    let rest = value >>> 0;
    this.#reserve(5);
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  /** Signed LEB128 of a 32-bit number; larger bit patterns wrap. */
  s32(value: number): void {
    let rest = value | 0;
    this.#reserve(5);
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.bytes[this.length++] = low;
        return;
      }
      this.bytes[this.length++] = low | 0x80;
    }
  }

  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    this.#reserve(10);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
        this.bytes[this.length++] = low;
        return;
      }
      this.bytes[this.length++] = low | 0x80;
    }
  }

  append(other: ByteWriter): void {
    this.#reserve(other.length);
    this.bytes.set(other.bytes.subarray(0, other.length), this.length);
    this.length += other.length;
  }

  text(value: string): void {
    const encoded = new TextEncoder().encode(value);
    this.u32(encoded.length);
    for (const byte of encoded) this.byte(byte);
  }

  /** The bytes written so far; valid until the next write. */
  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }
}

/** The body of one function: instructions, locals, branch hints. */
export class CodeWriter {
  readonly body = new ByteWriter();
  readonly parameterCount: number;
  readonly #localTypes: ValueType[] = [];
  /** Offsets in `body` of `if` and `br_if` instructions that are hardly ever taken (metadata.code.branch_hint). */
  readonly unlikely: number[] = [];

  constructor(parameterCount: number) {
    this.parameterCount = parameterCount;
  }

  /** A new local of the given type; its index. */
  local(type: ValueType): number {
    this.#localTypes.push(type);
    return this.parameterCount + this.#localTypes.length - 1;
  }

  op(opcode: number): this {
    this.body.byte(opcode);
    return this;
  }

  get(local: number): this {
    this.body.byte(Op.localGet);
    this.body.u32(local);
    return this;
  }

  set(local: number): this {
    this.body.byte(Op.localSet);
    this.body.u32(local);
    return this;
  }

  tee(local: number): this {
    this.body.byte(Op.localTee);
    this.body.u32(local);
    return this;
  }

  i32(value: number): this {
    this.body.byte(Op.i32Const);
    this.body.s32(value);
    return this;
  }

  i64(value: bigint): this {
    this.body.byte(Op.i64Const);
    this.body.s64(value);
    return this;
  }

  /** A load or store; `offset` is added to the address on the stack. */
  memory(opcode: number, offset: number): this {
    this.body.byte(opcode);
    this.body.byte(0);
    this.body.u32(offset);
    return this;
  }

  /** Loads from a constant address. */
  loadAt(opcode: number, address: number): this {
    this.body.byte(Op.i32Const);
    this.body.byte(0);
    return this.memory(opcode, address);
  }

  /** Stores to a constant address what `value` leaves on the stack. */
  storeAt(opcode: number, address: number, value: () => void): this {
    this.body.byte(Op.i32Const);
    this.body.byte(0);
    value();
    return this.memory(opcode, address);
  }

  block(): this {
    this.body.byte(Op.block);
    this.body.byte(0x40);
    return this;
  }

  loop(): this {
    this.body.byte(Op.loop);
    this.body.byte(0x40);
    return this;
  }

  if(): this {
    this.body.byte(Op.if);
    this.body.byte(0x40);
    return this;
  }

  /** `if` that is hardly ever taken: its body is laid out of line. */
  ifUnlikely(): this {
    this.unlikely.push(this.body.length);
    return this.if();
  }

  ifResult(type: ValueType): this {
    this.body.byte(Op.if);
    this.body.byte(type);
    return this;
  }

  else(): this {
    return this.op(Op.else);
  }

  end(): this {
    return this.op(Op.end);
  }

  br(depth: number): this {
    this.body.byte(Op.br);
    this.body.u32(depth);
    return this;
  }

  brIf(depth: number): this {
    this.body.byte(Op.brIf);
    this.body.u32(depth);
    return this;
  }

  call(functionIndex: number): this {
    this.body.byte(Op.call);
    this.body.u32(functionIndex);
    return this;
  }

  returnCall(functionIndex: number): this {
    this.body.byte(Op.returnCall);
    this.body.u32(functionIndex);
    return this;
  }

  returnCallIndirect(typeIndex: number): this {
    this.body.byte(Op.returnCallIndirect);
    this.body.u32(typeIndex);
    this.body.u32(0);
    return this;
  }

  /** `memory.copy` (destination, source, length on the stack). */
  memoryCopy(): this {
    for (const byte of [0xfc, 10, 0, 0]) this.body.byte(byte);
    return this;
  }

  /** `memory.fill` (destination, value, length on the stack). */
  memoryFill(): this {
    for (const byte of [0xfc, 11, 0]) this.body.byte(byte);
    return this;
  }

  /** The vector of local declarations, runs of equal types joined. */
  localDeclarations(): ByteWriter {
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#localTypes) {
      const last = runs.at(-1);
      if (last?.type === type) last.count += 1;
      else runs.push({ type, count: 1 });
    }
    const out = new ByteWriter();
    out.u32(runs.length);
    for (const { type, count } of runs) {
      out.u32(count);
      out.byte(type);
    }
    return out;
  }
}

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

interface FunctionImport {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

const section = (out: ByteWriter, id: number, write: (body: ByteWriter) => void): void => {
  const body = new ByteWriter();
  write(body);
  out.byte(id);
  out.u32(body.length);
  out.append(body);
};

/** How the table of entry points takes part in a module. Its elements are `(ref null $type)` of one function type. */
export interface TableUse {
  readonly type: number;
  readonly size: number;
  readonly define: boolean;
}

/** Builds one module: imports first, then functions, then `finish`. All modules import memory `m.memory`. */
export class ModuleWriter {
  readonly #types: FunctionType[] = [];
  readonly #imports: FunctionImport[] = [];
  readonly #functions: { type: number; code: CodeWriter }[] = [];
  readonly #exports: { name: string; index: number }[] = [];
  readonly #elements: { slot: number; index: number }[] = [];

  type(parameters: readonly ValueType[], results: readonly ValueType[]): number {
    const found = this.#types.findIndex(
      (type) => type.parameters.join() === parameters.join() && type.results.join() === results.join(),
    );
    if (found >= 0) return found;
    return this.#types.push({ parameters, results }) - 1;
  }

  /** Imports a function; all imports come before the first function. */
  importFunction(module: string, name: string, type: number): number {
    return this.#imports.push({ module, name, type }) - 1;
  }

  /** The index that the next added function gets. */
  get nextIndex(): number {
    return this.#imports.length + this.#functions.length;
  }

  add(type: number, code: CodeWriter): number {
    this.#functions.push({ type, code });
    return this.nextIndex - 1;
  }

  export(name: string, index: number): void {
    this.#exports.push({ name, index });
  }

  /** Puts a function into a slot of the table when the module is instantiated. */
  element(slot: number, index: number): void {
    this.#elements.push({ slot, index });
  }

  get functionCount(): number {
    return this.#functions.length;
  }

  finish(memoryPages: number, table: TableUse): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    for (const byte of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(byte);
    section(out, 1, (body) => this.#writeTypes(body));
    section(out, 2, (body) => this.#writeImports(body, memoryPages, table));
    section(out, 3, (body) => {
      body.u32(this.#functions.length);
      for (const { type } of this.#functions) body.u32(type);
    });
    if (table.define) {
      section(out, 4, (body) => {
        body.u32(1);
        writeTableType(body, table);
      });
    }
    section(out, 7, (body) => this.#writeExports(body, table.define));
    if (this.#elements.length > 0) section(out, 9, (body) => this.#writeElements(body, table.type));
    this.#writeBranchHints(out);
    section(out, 10, (body) => this.#writeCode(body));
    return out.bytes.slice(0, out.length);
  }

  #writeTypes(body: ByteWriter): void {
    body.u32(this.#types.length);
    for (const { parameters, results } of this.#types) {
      body.byte(0x60);
      for (const list of [parameters, results]) {
        body.u32(list.length);
        for (const type of list) body.byte(type);
      }
    }
  }

  #writeImports(body: ByteWriter, memoryPages: number, table: TableUse): void {
    body.u32(this.#imports.length + (table.define ? 1 : 2));
    for (const { module, name, type } of this.#imports) {
      body.text(module);
      body.text(name);
      body.byte(0);
      body.u32(type);
    }
    body.text('m');
    body.text('memory');
    body.byte(2);
    body.byte(1);
    body.u32(memoryPages);
    body.u32(memoryPages);
    if (table.define) return;
    body.text('m');
    body.text('table');
    body.byte(1);
    writeTableType(body, table);
  }

  #writeExports(body: ByteWriter, withTable: boolean): void {
    body.u32(this.#exports.length + (withTable ? 1 : 0));
    for (const { name, index } of this.#exports) {
      body.text(name);
      body.byte(0);
      body.u32(index);
    }
    if (!withTable) return;
    body.text('table');
    body.byte(1);
    body.u32(0);
  }

  #writeElements(body: ByteWriter, type: number): void {
    const runs = elementRuns(this.#elements);
    body.u32(runs.length);
    for (const { slot, indexes } of runs) {
      // Kind 6: active, explicit table, reference type, expressions.
      body.byte(6);
      body.u32(0);
      body.byte(Op.i32Const);
      body.s32(slot);
      body.byte(Op.end);
      body.byte(0x63);
      body.s32(type);
      body.u32(indexes.length);
      for (const index of indexes) {
        body.byte(0xd2);
        body.u32(index);
        body.byte(Op.end);
      }
    }
  }

  /** Section `metadata.code.branch_hint` of the branch-hinting proposal: 0 = unlikely. */
  #writeBranchHints(out: ByteWriter): void {
    const hinted = this.#functions
      .map(({ code }, position) => ({ code, index: this.#imports.length + position }))
      .filter(({ code }) => code.unlikely.length > 0);
    if (hinted.length === 0) return;
    section(out, 0, (body) => {
      body.text('metadata.code.branch_hint');
      body.u32(hinted.length);
      for (const { code, index } of hinted) {
        const declarations = code.localDeclarations().length;
        body.u32(index);
        body.u32(code.unlikely.length);
        for (const offset of code.unlikely) {
          body.u32(offset + declarations);
          body.u32(1);
          body.byte(0);
        }
      }
    });
  }

  #writeCode(body: ByteWriter): void {
    body.u32(this.#functions.length);
    for (const { code } of this.#functions) {
      const declarations = code.localDeclarations();
      body.u32(declarations.length + code.body.length + 1);
      body.append(declarations);
      body.append(code.body);
      body.byte(Op.end);
    }
  }
}

const writeTableType = (body: ByteWriter, table: TableUse): void => {
  body.byte(0x63);
  body.s32(table.type);
  body.byte(1);
  body.u32(table.size);
  body.u32(table.size);
};

const elementRuns = (elements: readonly { slot: number; index: number }[]) => {
  const runs: { slot: number; indexes: number[] }[] = [];
  for (const { slot, index } of [...elements].sort((a, b) => a.slot - b.slot)) {
    const last = runs.at(-1);
    if (last !== undefined && last.slot + last.indexes.length === slot) last.indexes.push(index);
    else runs.push({ slot, indexes: [index] });
  }
  return runs;
};
