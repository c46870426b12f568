import type { Width } from './decode.js';
import { FlagOperation, FlagReader } from './flags.js';
import { fragmentParameters } from './lift/function-emitter.js';
import { pushHigh } from './multiply-high.js';
import { gprAddress, STATE } from './state-layout.js';
import { CodeWriter, I32, I64, ModuleWriter, Op } from './wasm-writer.js';

export const TABLE_SIZE = 65536;

/** What the run loop and generated code call in the runtime module. */
export interface Runtime {
  readonly table: WebAssembly.Table;
  readonly helpers: WebAssembly.ModuleImports;
}

/** Called by generated code; addresses come in halves, because an i64 argument would become a bigint. */
export interface RuntimeImports {
  careful(low: number, high: number, site: number): number;
}

const WIDTHS: readonly Width[] = [8, 16, 32, 64];
const KINDS = 8 * WIDTHS.length;

/** (address i64, site i32) → i32, by way of JavaScript. */
const accessHelper = (imported: number): CodeWriter => {
  const code = new CodeWriter(2);
  code.get(0).op(Op.i32WrapI64).get(0).i64(32n).op(Op.i64ShrU).op(Op.i32WrapI64).get(1).returnCall(imported);
  return code;
};

/** Runs generated code from a table slot until it leaves: loads the parameters of a fragment from the state area. */
const enter = (passedRegisters: readonly number[], record: boolean, fragmentType: number): CodeWriter => {
  const code = new CodeWriter(1);
  for (const register of passedRegisters) code.loadAt(Op.i64Load, gprAddress(register));
  if (record) code.loadAt(Op.i32Load, STATE.eventPointer).loadAt(Op.i32Load, STATE.addressPointer);
  code.get(0).returnCallIndirect(fragmentType);
  return code;
};

/** Turns the operands of a multiplication into the lazy form `bits`, which the reader knows. */
const multiplyToBits = (code: CodeWriter, width: Width, a: number, b: number): void => {
  const overflow = code.local(I32);
  const product = code.local(I64);
  const extend = (local: number): void => {
    code.get(local);
    if (width === 8) code.op(Op.i64Extend8S);
    if (width === 16) code.op(Op.i64Extend16S);
    if (width === 32) code.op(Op.i64Extend32S);
  };
  if (width === 64) {
    pushHigh(code, () => code.local(I64), a, b, true);
    code.get(a).get(b).op(Op.i64Mul).tee(product).i64(63n).op(Op.i64ShrS).op(Op.i64Ne).set(overflow);
  } else {
    extend(a);
    extend(b);
    code.op(Op.i64Mul).tee(product);
    extend(product);
    code.op(Op.i64Ne).set(overflow);
    code
      .get(product)
      .i64((1n << BigInt(width)) - 1n)
      .op(Op.i64And)
      .set(product);
  }
  code.get(product).set(a);
  code.get(overflow).i32(3).op(Op.i32Mul).op(Op.i64ExtendI32U).set(b);
};

/** (kind i32, a i64, b i64) → the arithmetic flags: one case per kind. */
const flags = (): CodeWriter => {
  const code = new CodeWriter(3);
  const [a, b] = [1, 2];
  const reader = new FlagReader(code, a, b);
  for (let kind = 0; kind < KINDS; kind += 1) code.block();
  code.get(0).op(BR_TABLE);
  code.body.u32(KINDS - 1);
  for (let kind = 0; kind < KINDS; kind += 1) code.body.u32(kind);
  for (let kind = 0; kind < KINDS; kind += 1) {
    code.end();
    const width = WIDTHS[kind & 3] ?? 64;
    let operation = (kind >> 2) as FlagOperation;
    if (operation === FlagOperation.multiply) {
      multiplyToBits(code, width, a, b);
      operation = FlagOperation.bits;
    }
    reader.all({ operation, width });
    code.op(Op.return);
  }
  code.op(Op.unreachable);
  return code;
};

const BR_TABLE = 0x0e;

export const createRuntime = (
  memory: WebAssembly.Memory,
  memoryPages: number,
  passedRegisters: readonly number[],
  record: boolean,
  imports: RuntimeImports,
): Runtime => {
  const module = new ModuleWriter();
  const fragmentType = module.type(fragmentParameters(passedRegisters, record), []);
  const scriptType = module.type([I32, I32, I32], [I32]);
  const accessType = module.type([I64, I32], [I32]);
  const careful = module.importFunction('s', 'careful', scriptType);
  module.export('careful', module.add(accessType, accessHelper(careful)));
  module.export('enter', module.add(module.type([I32], []), enter(passedRegisters, record, fragmentType)));
  module.export('flags', module.add(module.type([I32, I64, I64], [I32]), flags()));
  const bytes = module.finish(memoryPages, { type: fragmentType, size: TABLE_SIZE, define: true });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    s: { careful: imports.careful },
    m: { memory },
  });
  const { table, ...helpers } = instance.exports;
  if (!(table instanceof WebAssembly.Table)) throw new Error('the runtime module lacks its table');
  return { table, helpers: helpers as WebAssembly.ModuleImports };
};
